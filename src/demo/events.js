// What was published here (`sent`) and what came to the page (`came`), newest first, and which belongs to which.

import { Refused, publishPayment } from "./shop.js";
import { rank } from "./wait.js";

const EVENTS_MAX = 40;
export const AMOUNT = { value: 1999, currency: "CNY" };

export class Events {
  all = [];
  /** How long the state that is shown took from its click: `{ ms, via }`. */
  took = undefined;
  /** The last one that could not be published. */
  trouble = null;

  constructor(changed) { this.changed = changed; }

  #note(entry) {
    this.all = [entry, ...this.all].slice(0, EVENTS_MAX);
    this.changed();
    return entry;
  }

  async publish(wait, status, clickedAt) {
    this.trouble = null;
    const stands = rank(wait.payment?.status);
    const clash = rank(status) < stands || (rank(status) > 0 && rank(status) === stands);
    const sent = this.#note({ kind: "sent", status, clickedAt, at: Date.now(), open: !clash, more: "sending" });
    wait.startConfirming();
    try {
      const answer = await publishPayment({ order_id: wait.orderId, status, amount: AMOUNT });
      sent.eventId = answer.event_id;
      sent.confirmedMs = performance.now() - clickedAt;
      if (sent.more === "sending") sent.more = clash ? "unchanged" : "confirmed";
    } catch (error) {
      Object.assign(sent, { open: false, more: "refused", why: error instanceof Refused ? error.message : null });
      this.trouble = sent;
    }
    if (!wait.ended) this.changed();
  }

  /** Finds the click that a new version answers: the one as many clicks on as versions came, if its status fits. */
  came(payment, via, skipped) {
    const at = performance.now();
    const open = this.all.filter((event) => event.kind === "sent" && event.open).reverse();
    const match = open[skipped]?.status === payment.status ? open[skipped] : open.find((sent) => sent.status === payment.status);
    if (match) {
      for (const sent of open.slice(0, open.indexOf(match))) Object.assign(sent, { open: false, more: "replaced" });
      match.open = false;
      if (match.more === "sending") match.more = "confirmed";
    }
    const ms = match && at - match.clickedAt;
    this.took = match ? { ms, via } : undefined;
    this.#note({ kind: "came", status: payment.status, version: payment.version, via, ms, at: Date.now() });
  }
}
