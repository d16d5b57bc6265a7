# Built with BuildKit or without. `scripts/image` gives the labels their values; without it they are empty.
# Base images are fixed by digest: `scripts/pin-images` asks the registry for newer ones. Behind a mirror, give its name for the
# same image: docker build --build-arg RUST_IMAGE=mirror.example.com/library/rust:1.95-bookworm .
ARG RUST_IMAGE=rust:1.95-bookworm@sha256:6258907abe69656e41cd992e0b705cdcfabcbbe3db374f92ed2d47121282d4a1
FROM ${RUST_IMAGE} AS build
WORKDIR /build

# The first writes the dependencies into the program, the second into a file beside it.
RUN cargo install --locked cargo-auditable@0.7.7 cargo-cyclonedx@0.5.9

# The dependencies are a layer of their own: it is made again only when Cargo.toml or Cargo.lock change. Targets beside the
# library and the program are left out of this manifest, since their files are not here.
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
RUN awk '/^\[/ { skip = /^\[\[(bench|example|test)\]\]/ } !skip' Cargo.toml > Cargo.toml.short \
 && mv Cargo.toml.short Cargo.toml \
 && mkdir src \
 && touch src/lib.rs \
 && echo 'fn main() {}' > src/main.rs \
 && cargo auditable build --release --locked \
 && rm -r src

COPY . .
ARG REVISION=""
ARG SOURCE_DATE_EPOCH=""
# cargo goes by file times, and the copied files may be older than what was built from the empty ones. An empty date is none.
RUN touch src/lib.rs src/main.rs \
 && if [ -z "$SOURCE_DATE_EPOCH" ]; then unset SOURCE_DATE_EPOCH; fi \
 && PAYMENT_NOTIFIER_COMMIT="$REVISION" cargo auditable build --release --locked --bin payment-notifier \
 && cargo cyclonedx --format json --spec-version 1.5 --no-build-deps \
 && scripts/image-root target/release/payment-notifier /image \
 && install -D -m 644 payment-notifier.cdx.json /image/usr/share/sbom/payment-notifier.cdx.json \
 && scripts/third-party-licenses /image/usr/share/doc/payment-notifier/THIRD-PARTY-LICENSES \
 && install -d -m 0700 /image-data/data

FROM scratch
COPY --from=build /image/ /
# From within a folder: a folder that is copied by itself loses its mode.
COPY --from=build --chown=10001:10001 /image-data/ /

# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
# The default of store.url is relative to it: /data/payments.db. As a variable it would be in the way of
# PAYMENT_NOTIFIER__STORE__URL_FILE.
WORKDIR /
VOLUME /data
# Every address inside the container: whether it can be reached is for whoever publishes the port to say. The operators'
# listener stays on the container's loopback; PAYMENT_NOTIFIER__ADMIN__LISTEN=0.0.0.0:9090 needs PAYMENT_NOTIFIER__ADMIN__TOKEN.
ENV PAYMENT_NOTIFIER__HTTP__LISTEN=0.0.0.0:8080
EXPOSE 8080 9090
STOPSIGNAL SIGTERM
# Whether it can serve pages: what is unhealthy is started anew by some, and that brings no broker back. It reads the settings
# that the service reads, a settings file too if PAYMENT_NOTIFIER_CONFIG names it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["payment-notifier", "healthcheck"]
ENTRYPOINT ["payment-notifier"]
CMD ["serve"]

ARG VERSION=""
ARG REVISION=""
ARG CREATED=""
LABEL org.opencontainers.image.title="payment-notifier" \
      org.opencontainers.image.description="Delivers payment results from RabbitMQ to the pages waiting for them: durably, privately, within milliseconds." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
