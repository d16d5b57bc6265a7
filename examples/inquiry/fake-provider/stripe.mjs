// Stripe: a PaymentIntent by its id, or by metadata.order_id. Stripe signs no answers; its key is a bearer token.
const STATES = { unpaid: "requires_payment_method", failed: "requires_payment_method", paying: "processing", paid: "succeeded", refunded: "succeeded", closed: "canceled", revoked: "canceled" };
const ONE = /^\/v1\/payment_intents\/(pi_\w+)$/;
const SEARCH = "/v1/payment_intents/search";

export const isStripe = (path) => path.startsWith("/v1/payment_intents");

const failed = (status, type, message, code) => ({ status, body: { error: { type, message, ...(code && { code }) } } });

function intent(order) {
  const paid_s = order.paid_at && Math.floor(order.paid_at.getTime() / 1000);
  const currency = order.currency.toLowerCase();
  return {
    id: order.transaction_id,
    object: "payment_intent",
    amount: order.amount,
    amount_received: order.paid_at ? order.amount : 0,
    currency,
    created: Math.floor(order.created_at.getTime() / 1000),
    canceled_at: STATES[order.state] === "canceled" ? Math.floor(order.created_at.getTime() / 1000) + 1 : null,
    livemode: false,
    metadata: { order_id: order.order_id },
    status: STATES[order.state],
    latest_charge: order.paid_at ? { id: `ch_${order.transaction_id.slice(3)}`, object: "charge", amount: order.amount, currency, created: paid_s, paid: true } : null,
  };
}

/** Answers one request: GET /v1/payment_intents/{id}, or .../search?query=metadata["order_id"]:"…". */
export async function answer({ keys, orders }, request) {
  const [, id] = ONE.exec(request.path) ?? [];
  const [, searched] = request.path === SEARCH ? (/^metadata\[["']order_id["']\]:["']([^"']+)["']$/.exec(request.search.get("query") ?? "") ?? []) : [];
  const order = id ? orders.byTransaction("stripe", id) : orders.get("stripe", searched);
  const end = orders.begin("stripe", order?.order_id ?? searched ?? id ?? "");
  const fault = orders.takeFault("stripe");
  let given;
  if (request.headers.authorization !== `Bearer ${keys.secrets["stripe-key"]}`) given = failed(401, "invalid_request_error", "Invalid API Key provided");
  else if (fault === "system_error") given = failed(500, "api_error", "the system is busy");
  else if (fault === "frequency_limited") given = failed(429, "invalid_request_error", "too many requests", "rate_limit");
  else if (searched) given = { status: 200, body: { object: "search_result", url: SEARCH, has_more: false, data: order ? [intent(order)] : [] } };
  else if (id && order) given = { status: 200, body: intent(order) };
  else given = failed(404, "invalid_request_error", "no such payment_intent", "resource_missing");
  return { status: given.status, headers: { "content-type": "application/json" }, body: JSON.stringify(given.body), fault, done: () => end(given.body.status ?? given.body.error?.code ?? String(given.status)) };
}
