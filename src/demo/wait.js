// Waits for the result of one order through the SDK, and keeps what the page shows of it.

import { adapterFor } from "./adapter.js";
import { frame } from "./frames.js";
import { mintTicket } from "./shop.js";
import { parameters } from "./session.js";

// After this long a page stops promising and says: check the order later, do not pay again.
const LATE_MS = 1000 * (Number(parameters.get("late_s")) || 75);
const RANK = { failed: 1, canceled: 1, expired: 1, succeeded: 2 };
const VIA = { long_poll: "long-poll", poll: "poll" };

export const rank = (status) => RANK[status] ?? 0;

export class Wait {
  payment = null;
  /** The SDK's transport at this moment, by the names of the page. */
  via = null;
  reconnects = 0;
  acked = 0;
  roundTripMs = undefined;
  ticketUntil = undefined;
  merchantId = undefined;
  ended = false;
  #noTicket = false;
  #wasUp = false;
  #link = "connecting";
  #lateTimer;

  /** `changed()`: something to show. `received(payment, skipped)`: a state, and how many versions it replaced unseen. */
  constructor(orderId, paidAt, { changed, received, confirming }) {
    this.orderId = orderId;
    this.paidAt = paidAt;
    this.changed = changed;
    this.received = received;
    this.confirming = confirming;
    this.#lookWhenLate();
  }

  use(transport) {
    this.transport = transport;
    this.roundTripMs = undefined;
    this.adapter = adapterFor(transport, this.orderId, {
      acked: (version) => { this.acked = version; this.changed(); },
      roundTrip: (ms) => { this.roundTripMs = ms; this.changed(); },
    });
    this.#start();
  }

  #start() {
    const before = this.watch;
    this.via = null;
    this.#noTicket = false;
    // A start while the link is up is the page's own doing, and its return no reconnect.
    if (this.#link === "live") this.#wasUp = false;
    const watch = window.PaymentNotifier.watchPayment({
      url: location.origin,
      orderId: this.orderId,
      ticket: () => this.#mint(),
      after: this.payment?.version,
      adapter: this.adapter,
      onChange: (payment) => { if (watch === this.watch) this.#take(payment); },
      onConnection: ({ transport }) => { if (watch === this.watch) this.#connected(transport); },
    });
    this.watch = watch;
    before?.stop();
    watch.result.then((outcome) => { if (watch === this.watch) this.#settled(outcome); });
    this.look();
  }

  async #mint() {
    const minted = await mintTicket(this.orderId);
    this.ticketUntil = Date.parse(minted.expires_at);
    this.merchantId = minted.merchant_id;
    this.changed();
    return minted.ticket;
  }

  #take(payment) {
    const skipped = Math.max(0, payment.version - (this.payment?.version ?? 0) - 1);
    this.payment = payment;
    this.startConfirming();
    this.received(payment, skipped);
    this.changed();
  }

  #connected(transport) {
    // adapter.js dresses a stream as a socket.
    this.via = transport === "socket" ? this.transport : VIA[transport] ?? null;
    if (!transport) frame("·", "the SDK has no connection and tries again");
    this.look();
  }

  /** The SDK has ended. The payment may still change: paid after a failure, or refunded. */
  #settled(outcome) {
    if (outcome.stopped) return;
    if (outcome.refused) {
      frame("·", `the service refuses the tickets: ${outcome.refused}`);
      this.#noTicket = true;
      return this.look();
    }
    // A lower version comes from a store that was made anew: it is the result, and onChange was not called for it.
    if (outcome.final && outcome.version !== this.payment?.version) this.#take(outcome);
    this.#start();
  }

  /** connecting, live, retrying, offline or no_ticket. */
  get link() { return this.#link; }

  /** Finds the link's state anew; for changes of the browser's own, too. */
  look() {
    const link = this.#linkNow();
    if (link === "live" && this.#wasUp && this.#link !== "live") this.reconnects++;
    if (link === "live") this.#wasUp = true;
    this.#link = link;
    this.changed();
  }

  #linkNow() {
    if (navigator.onLine === false) return "offline";
    if (this.#noTicket) return "no_ticket";
    if (this.via) return "live";
    return this.#wasUp ? "retrying" : "connecting";
  }

  startConfirming() { if (!this.paidAt) this.#confirm(); }

  checkAgain() {
    this.#confirm();
    this.#start();
  }

  #confirm() {
    this.paidAt = Date.now();
    this.confirming(this.paidAt);
    this.#lookWhenLate();
    this.changed();
  }

  get late() { return Boolean(this.paidAt) && Date.now() - this.paidAt >= LATE_MS; }

  // The deadline is a point in time; the timer only looks again then.
  #lookWhenLate() {
    clearTimeout(this.#lateTimer);
    if (this.paidAt) this.#lateTimer = setTimeout(this.changed, Math.max(0, this.paidAt + LATE_MS - Date.now()) + 20);
  }

  end() {
    this.ended = true;
    clearTimeout(this.#lateTimer);
    this.watch?.stop();
    this.watch = undefined;
  }
}
