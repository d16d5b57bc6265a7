// The orders and their states, the faults that are asked for, and a record of the queries. All in memory.
import { randomUUID } from "node:crypto";

const STATES = ["unpaid", "paying", "paid", "refunded", "closed", "failed", "revoked"];
const FAULTS = ["system_error", "frequency_limited", "wrong_signature", "no_signature", "stale_signature", "hang", "slow"];
const PROVIDERS = ["wechat_pay", "alipay", "stripe"];
const ORDERS_MAX = 10_000;
const QUERIES_MAX = 10_000;

export class BadRequest extends Error {}

const oneOf = (name, value, allowed) => {
  if (!allowed.includes(value)) throw new BadRequest(`${name} must be one of ${allowed.join(", ")}`);
  return value;
};

export class Orders {
  #orders = new Map();
  #faults = new Map();
  #open = new Map();
  queries = [];
  concurrent_max = 0;

  /**
   * Makes an order or changes it. `order_id` is the provider's out_trade_no (Stripe: metadata.order_id), `amount` in minor
   * units. An order that was never put is one the provider has not heard of.
   */
  put({ provider, order_id, state, ...more }) {
    oneOf("provider", provider, PROVIDERS);
    if (typeof order_id !== "string" || !order_id) throw new BadRequest("order_id is missing");
    const key = `${provider}:${order_id}`;
    const before = this.#orders.get(key);
    const order = before ?? { provider, order_id, amount: 1999, currency: "CNY", created_at: new Date(), state: "unpaid", paid_at: null, transaction_id: null };
    for (const name of ["amount", "currency", "attach", "notify_url", "sub_mchid", "appid", "transaction_id"]) {
      if (more[name] !== undefined) order[name] = more[name];
    }
    order.state = oneOf("state", state ?? order.state, STATES);
    if (["paid", "refunded"].includes(order.state)) order.paid_at ??= new Date();
    order.transaction_id ??= provider === "stripe" ? `pi_${randomUUID().replaceAll("-", "")}` : `42000${Date.now()}${Math.floor(Math.random() * 1e10).toString().padStart(10, "0")}`;
    if (!before && this.#orders.size >= ORDERS_MAX) this.#orders.delete(this.#orders.keys().next().value);
    this.#orders.set(key, order);
    return order;
  }

  get(provider, orderId) {
    return this.#orders.get(`${provider}:${orderId}`);
  }

  byTransaction(provider, transactionId) {
    return [...this.#orders.values()].find((order) => order.provider === provider && order.transaction_id === transactionId);
  }

  /** The next `count` answers of a provider go wrong in this way; `fault` null: none any more. */
  setFault({ provider, fault, count = 1_000_000 }) {
    oneOf("provider", provider, PROVIDERS);
    if (fault === null) return this.#faults.delete(provider);
    this.#faults.set(provider, { fault: oneOf("fault", fault, FAULTS), left: count });
  }

  takeFault(provider) {
    const set = this.#faults.get(provider);
    if (!set) return null;
    if (--set.left <= 0) this.#faults.delete(provider);
    return set.fault;
  }

  /** Records a query; the function it gives is to be called with the answer's code when that is sent. */
  begin(provider, orderId) {
    const key = `${provider}:${orderId}`;
    const query = { provider, order_id: orderId, at: new Date().toISOString(), answer: null };
    this.queries.push(query);
    if (this.queries.length > QUERIES_MAX) this.queries.shift();
    const open = (this.#open.get(key) ?? 0) + 1;
    this.#open.set(key, open);
    this.concurrent_max = Math.max(this.concurrent_max, open);
    return (answer) => {
      if (query.answer) return;
      query.answer = answer;
      const left = this.#open.get(key) - 1;
      if (left) this.#open.set(key, left);
      else this.#open.delete(key);
    };
  }
}
