// What was published here (`sent`) and what came to the page (`came`), newest first, and which belongs to which.

import { Refused, publishPayment } from "./shop.js";
import { rank } from "./wait.js";

const EVENTS_MAX = 40;
export const AMOUNT = { value: 1999, currency: "CNY" };
const HALF = { value: 1000, currency: "CNY" };
const REFUND_RANK = { processing: 1, partial: 2, full: 3 };
const refundRank = (refund) => REFUND_RANK[refund?.status] ?? 0;
/** How long ago a result happened that arrives after a later one. */
const LATE_BY_MS = 5_000;

/** Whether the payment stands where this event cannot move it. */
function changesNothing(payment, { status, refund }) {
  if (refund && refundRank(refund) > refundRank(payment?.refund)) return false;
  const stands = rank(payment?.status);
  return rank(status) < stands || (rank(status) > 0 && rank(status) === stands);
}

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

  /** `refund` is "partial" or "full". */
  publish(wait, status, clickedAt, { refund, ...more } = {}) {
    const body = { order_id: wait.orderId, status, amount: AMOUNT, ...more };
    if (refund) body.refund = { status: refund, amount: refund === "full" ? AMOUNT : HALF };
    return this.#send(wait, body, clickedAt, changesNothing(wait.payment, body));
  }

  /** The same event once more. */
  again(wait, clickedAt) { return this.last && this.#send(wait, this.last, clickedAt, true); }

  /** The end first, and then what came before it. */
  async outOfOrder(wait, clickedAt) {
    await this.publish(wait, "succeeded", clickedAt);
    if (!this.trouble) await this.#send(wait, { order_id: wait.orderId, status: "processing", amount: AMOUNT, ago_ms: LATE_BY_MS }, clickedAt, true);
  }

  async #send(wait, body, clickedAt, clash) {
    this.trouble = null;
    const { status, refund } = body;
    const sent = this.#note({ kind: "sent", status, refund, repeats: Boolean(body.event_id), clickedAt, at: Date.now(), open: !clash, more: "sending" });
    wait.startConfirming();
    try {
      const answer = await publishPayment(body);
      this.last = { ...body, event_id: answer.event_id };
      sent.eventId = answer.event_id;
      sent.confirmedMs = performance.now() - clickedAt;
      if (sent.more === "sending") sent.more = sent.repeats ? "repeated" : clash ? "unchanged" : "confirmed";
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
    this.#note({ kind: "came", status: payment.status, refund: payment.refund, version: payment.version, via, ms, at: Date.now() });
  }
}
