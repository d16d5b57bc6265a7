# Built with BuildKit or without.
FROM rust:1-bookworm AS build
WORKDIR /build

# The dependencies are a layer of their own: it is made again only when Cargo.toml or Cargo.lock change. Targets beside the
# library and the program are left out of this manifest, since their files are not here.
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
RUN awk '/^\[/ { skip = /^\[\[(bench|example|test)\]\]/ } !skip' Cargo.toml > Cargo.toml.short \
 && mv Cargo.toml.short Cargo.toml \
 && mkdir src \
 && touch src/lib.rs \
 && echo 'fn main() {}' > src/main.rs \
 && cargo build --release --locked \
 && rm -r src

COPY . .
# cargo goes by file times, and the copied files may be older than what was built from the empty ones.
RUN touch src/lib.rs src/main.rs \
 && cargo build --release --locked --bin payment-notifier

FROM debian:bookworm-slim
# For TLS to the broker, to key sets and to a collector.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin payment-notifier \
 && install -d -o payment-notifier -g payment-notifier -m 0700 /data
COPY --from=build /build/target/release/payment-notifier /usr/local/bin/payment-notifier

USER payment-notifier
# The default of store.url is relative to it: /data/payments.db. As a variable it would be in the way of
# PAYMENT_NOTIFIER__STORE__URL_FILE.
WORKDIR /
VOLUME /data
# Every address inside the container: whether it can be reached is for whoever publishes the port to say. The operators'
# listener stays on the container's loopback; PAYMENT_NOTIFIER__ADMIN__LISTEN=0.0.0.0:9090 needs PAYMENT_NOTIFIER__ADMIN__TOKEN.
ENV PAYMENT_NOTIFIER__HTTP__LISTEN=0.0.0.0:8080
EXPOSE 8080 9090
STOPSIGNAL SIGTERM
# Whether it can serve pages: what is unhealthy is started anew by some, and that brings no broker back. bash speaks this much
# HTTP by itself, so the image needs no curl for it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
  CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/9090 && printf 'GET /readyz?exclude=broker,consumer HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && read -r -t 4 _ status _ <&3 && [[ $status == 200 ]]"]
ENTRYPOINT ["payment-notifier"]
CMD ["serve"]
