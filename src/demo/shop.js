// Stands for the merchant's own back end and for the payment provider: mints tickets, publishes payment results. Only a
// demo may let a page do that.

import { frame } from "./frames.js";

const ANSWER_MS = 10_000;

/** A ticket for the order: `{ ticket, expires_at, merchant_id }`. */
export const mintTicket = (order_id) => post("tickets", { order_id });

/** What there is beside the page: `{ merchant_id, operators, provider_url }`. */
export async function about() {
  const answer = await fetch("/demo/api/about", { credentials: "omit", signal: AbortSignal.timeout(ANSWER_MS) });
  return answer.json();
}

/** Where an order's timeline is, or null: a page from elsewhere cannot reach a listener on loopback. */
export function operatorsLink({ operators, merchant_id }, orderId) {
  if (!operators) return null;
  const { hostname, port } = new URL(`http://${operators}`);
  const isLoopback = (host) => /^(127\.|\[::1\]|localhost$)/.test(host);
  const host = /^(0\.0\.0\.0|\[::\])$/.test(hostname) ? location.hostname : hostname;
  if (isLoopback(host) && !isLoopback(location.hostname)) return null;
  return `http://${host}:${port}/orders/${encodeURIComponent(merchant_id)}/${encodeURIComponent(orderId)}`;
}

/** Pays at the fake provider, which tells nobody. The answer of another origin is not readable, and not needed. */
export const payAtProvider = (url, order_id, { value, currency }) =>
  fetch(`${url}/fake/pay`, {
    method: "POST", mode: "no-cors", credentials: "omit", signal: AbortSignal.timeout(ANSWER_MS),
    body: JSON.stringify({ provider: "wechat_pay", order_id, amount: value, currency }),
  });

/** Answers when RabbitMQ has confirmed it: `{ event_id }`. */
export const publishPayment = (payment) => post("payments", payment);

async function post(name, body) {
  const [path, text] = [`/demo/api/${name}`, JSON.stringify(body)];
  frame("↑", `POST ${path} ${text}`);
  const response = await fetch(path, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: text, credentials: "omit",
    signal: AbortSignal.timeout(ANSWER_MS),
  });
  const answer = await response.text();
  frame("↓", `${response.status} ${answer}`);
  if (response.ok) return JSON.parse(answer);
  const problem = parse(answer);
  throw new Refused(`${problem.detail ?? problem.title ?? "HTTP"} (${problem.code ?? response.status})`);
}

/** The service's own no, with its reason. */
export class Refused extends Error {}

function parse(text) {
  try { return JSON.parse(text) ?? {}; } catch { return {}; }
}
