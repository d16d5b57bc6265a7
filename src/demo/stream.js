// Server-Sent Events behind the SDK's idea of a socket: `subscribe` opens the stream, its events become frames.

import { frame } from "./frames.js";

/** `acknowledge(ticket, version, done)`: how an acknowledgement goes out, since a stream takes nothing. */
export function streamFor(orderId, events, acknowledge) {
  let ticket;
  let stream;
  const tell = (said) => events.message(JSON.stringify(said));

  function close() {
    stream?.close();
    stream = undefined;
  }

  function failed({ data }) {
    if (!stream) return;
    close();
    // The service's own event has data; without, it is the browser's word that the stream is lost.
    frame(data ? "↓" : "·", data ?? "the stream is lost");
    if (data) events.message(data);
    else events.close();
  }

  function subscribe() {
    close();
    const path = `/v1/payments/${encodeURIComponent(orderId)}/events`;
    frame("↑", `GET ${path}`);
    let isFirst = true;
    const mine = (stream = new EventSource(`${path}?ticket=${encodeURIComponent(ticket)}`));
    mine.addEventListener("error", (event) => { if (mine === stream) failed(event); });
    mine.addEventListener("payment", ({ data }) => {
      if (mine !== stream) return;
      frame("↓", data);
      const payment = JSON.parse(data);
      if (isFirst) tell({ type: "subscribed", order_id: orderId, payment: payment.version ? payment : null });
      else tell({ type: "payment", payment });
      isFirst = false;
    });
  }

  setTimeout(events.open);
  return {
    close,
    send(text, done) {
      const said = JSON.parse(text);
      if (said.type === "subscribe") {
        ticket = said.ticket;
        subscribe();
      }
      if (said.type === "ack") return void acknowledge(ticket, said.version, done);
      done(true);
      // The browser watches over the stream, and says when it is lost.
      if (said.type === "ping" && stream?.readyState === EventSource.OPEN) tell({ type: "pong" });
    },
  };
}
