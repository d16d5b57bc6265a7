// The SDK's adapter for browsers, with two things added: it tells what goes over it, and it has no transport that is
// better than the chosen one, so that a reader can see each of them work.

import { frame } from "./frames.js";

const BEST_FIRST = ["websocket", "sse", "long-poll", "poll"];

/** `acked(version)`: the service took the acknowledgement. `roundTrip(ms)`: a ping was answered. */
export function adapterFor(best, { acked, roundTrip }) {
  const platform = window.PaymentNotifier.browser();
  const allows = (transport) => BEST_FIRST.indexOf(best) <= BEST_FIRST.indexOf(transport);

  function connect(url, events) {
    if (!allows("websocket")) {
      events.close();
      return { send() {}, close() {} };
    }
    let pingedAt;
    frame("↑", `WebSocket ${new URL(url).pathname}`);
    const socket = platform.connect(url, {
      open: events.open,
      message(text) {
        frame("↓", text);
        if (pingedAt !== undefined && /"type":"pong"/.test(text)) {
          roundTrip(performance.now() - pingedAt);
          pingedAt = undefined;
        }
        events.message(text);
      },
      close() {
        frame("·", "WebSocket closed");
        events.close();
      },
    });
    return {
      close: socket.close,
      send(text, done) {
        frame("↑", text);
        const { type, version } = JSON.parse(text);
        if (type === "ping") pingedAt = performance.now();
        socket.send(text, (sent) => {
          if (sent && type === "ack") acked(version);
          done(sent);
        });
      },
    };
  }

  function told(request, done, isStream) {
    const { pathname, search } = new URL(request.url);
    frame("↑", `${request.method} ${pathname}${search}${request.body ? ` ${JSON.stringify(request.body)}` : ""}`);
    return ({ status, data }) => {
      // What a stream held was told as it came.
      const said = isStream && status === 200 ? "the stream ended" : data ?? "";
      frame("↓", `${status || "no answer"} ${said}`);
      if (status === 204 && pathname.endsWith("/ack")) acked(request.body.version);
      done({ status, data });
    };
  }

  function request(request, done) {
    if (!allows("long-poll") && /[?&]wait=/.test(request.url)) return done({ status: 0 });
    return platform.request(request, told(request, done, false));
  }

  function requestChunked(request, chunk, done) {
    const tell = (text) => {
      if (text) frame("↓", text.trim());
      chunk(text);
    };
    return platform.requestChunked(request, tell, told(request, done, true));
  }

  return { ...platform, connect, request, requestChunked: allows("sse") ? requestChunked : undefined };
}
