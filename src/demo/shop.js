// Stands for the merchant's own back end and for the payment provider: mints tickets, publishes payment results. Only a
// demo may let a page do that.

import { frame } from "./frames.js";

const ANSWER_MS = 10_000;

/** A ticket for the order: `{ ticket, expires_at, merchant_id }`. */
export const mintTicket = (order_id) => post("tickets", { order_id });

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
