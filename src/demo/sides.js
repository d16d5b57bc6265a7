// The two pages of the comparison, each with an order of its own: one asks by a timer, one waits through the SDK. Both count
// what they send, and can be put to sleep as a phone is.

import { mintTicket } from "./shop.js";

const EVERY_MS = 2_000;
const ANSWER_MS = 10_000;

class Side {
  /** Requests and connections that this page has made. */
  requests = 0;
  /** The final status, and when it was known on the clock of `performance.now()`. */
  status = null;
  knownAt = null;
  asleep = false;
  /** A side that could not even begin. */
  trouble = null;

  constructor(orderId, changed) {
    this.orderId = orderId;
    this.changed = changed;
  }

  count() {
    this.requests++;
    this.changed();
  }

  learn(status) {
    if (this.knownAt !== null) return;
    Object.assign(this, { status, knownAt: performance.now() });
    this.changed();
  }
}

/** What most pages do. It stops at a final status, as a careful one does. */
export class TimerSide extends Side {
  async start() {
    // Not counted: a real page asks its own back end with the login that it has.
    const { ticket } = await mintTicket(this.orderId);
    this.headers = { Authorization: `Bearer ${ticket}` };
    this.timer = setInterval(() => this.ask(), EVERY_MS);
  }

  async ask() {
    if (this.asleep) return;
    this.count();
    const options = { headers: this.headers, credentials: "omit", signal: AbortSignal.timeout(ANSWER_MS) };
    const payment = await fetch(`/v1/payments/${this.orderId}`, options).then((answer) => answer.json(), () => null);
    if (!payment?.final || this.asleep) return;
    this.learn(payment.status);
    this.stop();
  }

  sleep() { this.asleep = true; }

  /** At best, an overdue timer is called as soon as the phone is awake. */
  wake() {
    this.asleep = false;
    if (this.knownAt === null) this.ask();
  }

  stop() { clearInterval(this.timer); }
}

export class ServiceSide extends Side {
  #onShow = new Set();
  #onHide = new Set();
  #overdue = [];

  async start() {
    this.watch = window.PaymentNotifier.watchPayment({
      url: location.origin,
      orderId: this.orderId,
      ticket: () => {
        this.count();
        return mintTicket(this.orderId).then(({ ticket }) => ticket);
      },
      adapter: this.#adapter(),
      onChange: (payment) => { if (payment.final) this.learn(payment.status); },
    });
  }

  sleep() {
    this.asleep = true;
    for (const run of this.#onHide) run();
  }

  wake() {
    this.asleep = false;
    for (const run of this.#overdue.splice(0)) run();
    for (const run of this.#onShow) run();
  }

  stop() { this.watch?.stop(); }

  /** The SDK's own, through which nothing goes while the phone sleeps. A socket that was open then stays silent for good. */
  #adapter() {
    const platform = window.PaymentNotifier.browser();
    const listen = (listeners) => (run) => {
      listeners.add(run);
      return () => listeners.delete(run);
    };
    return {
      ...platform,
      onShow: listen(this.#onShow),
      onHide: listen(this.#onHide),
      setTimer: (run, ms) => platform.setTimer(() => (this.asleep ? this.#overdue.push(run) : run()), ms),
      connect: (url, events) => this.#socket(platform, url, events),
      request: (request, done) => {
        this.count();
        return platform.request(request, (response) => done(this.asleep ? { status: 0 } : response));
      },
    };
  }

  #socket(platform, url, events) {
    this.count();
    let isDead = false;
    const alive = () => !(isDead ||= this.asleep);
    const socket = platform.connect(url, {
      open: () => { if (alive()) events.open(); },
      message: (text) => { if (alive()) events.message(text); },
      close: () => { if (alive()) events.close(); },
    });
    return { close: socket.close, send: (text, done) => { if (alive()) socket.send(text, done); } };
  }
}
