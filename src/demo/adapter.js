// The SDK's adapter for browsers, with two things added: it tells what goes over it, and it has no transport that is
// better than the chosen one, so that a reader can see each of them work. An event stream is dressed as the SDK's socket.

import { frame } from "./frames.js";
import { streamFor } from "./stream.js";

const BEST_FIRST = ["websocket", "sse", "long-poll", "poll"];

/** `acked(version)`: the service took the acknowledgement. `roundTrip(ms)`: a ping was answered. */
export function adapterFor(best, orderId, { acked, roundTrip }) {
  const platform = window.PaymentNotifier.browser();
  const allows = (transport) => BEST_FIRST.indexOf(best) <= BEST_FIRST.indexOf(transport);

  let refused = false;

  function connect(url, events) {
    if (best === "sse") return stream(events);
    if (!allows("websocket")) {
      // Once is enough for the SDK to look for another way; later attempts get no answer, so that they come seldom.
      if (!refused) events.close();
      refused = true;
      return { send() {}, close() {} };
    }
    let pingedAt;
    frame("↑", `WebSocket ${new URL(url).pathname}`);
    const socket = platform.connect(url, {
      open: events.open,
      message(text) {
        frame("↓", text);
        if (pingedAt !== undefined && /"type":"(pong|subscribed)"/.test(text)) {
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
        // The answer to the first frame is the first round trip.
        if (type === "ping" || type === "subscribe") pingedAt = performance.now();
        socket.send(text, (sent) => {
          if (sent && type === "ack") acked(version);
          done(sent);
        });
      },
    };
  }

  function stream(events) {
    let askedAt;
    const socket = streamFor(orderId, { ...events, message(text) {
      if (askedAt !== undefined) roundTrip(performance.now() - askedAt);
      askedAt = undefined;
      events.message(text);
    } }, acknowledge);
    return { ...socket, send(text, done) {
      if (/"type":"subscribe"/.test(text)) askedAt = performance.now();
      socket.send(text, done);
    } };
  }

  function request(request, done) {
    if (!allows("long-poll") && /[?&]wait=/.test(request.url)) return done({ status: 0 });
    const { pathname, search } = new URL(request.url);
    const askedAt = performance.now();
    frame("↑", `${request.method} ${pathname}${search}${request.body ? ` ${JSON.stringify(request.body)}` : ""}`);
    return platform.request(request, (response) => {
      frame("↓", `${response.status || "no answer"} ${response.data ?? ""}`);
      // A request that is held says nothing about the way.
      if (response.status && !search.includes("wait=")) roundTrip(performance.now() - askedAt);
      if (response.status === 204 && pathname.endsWith("/ack")) acked(request.body.version);
      done(response);
    });
  }

  /** What a socket does with a frame, and a stream cannot. */
  function acknowledge(ticket, version, done) {
    const headers = { authorization: `Bearer ${ticket}`, "content-type": "application/json" };
    const url = `${location.origin}/v1/payments/${encodeURIComponent(orderId)}/ack`;
    return request({ method: "POST", url, headers, body: { version } }, ({ status }) => done(status === 204));
  }

  return { ...platform, connect, request };
}
