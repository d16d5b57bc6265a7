// From an inquiry to the results that are published for it.
import { Unanswerable } from "./errors.mjs";

const BODY_BYTES_MAX = 65_536;
const ATTEMPTS_MAX = 20;
const MERCHANT = /^[A-Za-z0-9_.-]{1,64}$/;
const ORDER = /^[A-Za-z0-9_.*|@-]{1,64}$/;

/** Reads a message of `payment.inquiry`; throws Unanswerable. */
export function parse(body) {
  if (body.length > BODY_BYTES_MAX) throw new Unanswerable("body_too_large");
  let event;
  try {
    event = JSON.parse(body.toString("utf8"));
  } catch {
    throw new Unanswerable("invalid_json");
  }
  const { merchant_id, order_id, provider, provider_transaction_id, step } = event?.data ?? {};
  if (event?.type !== "payment.inquiry") throw new Unanswerable("not_an_inquiry");
  if (typeof merchant_id !== "string" || !MERCHANT.test(merchant_id)) throw new Unanswerable("malformed_merchant_id");
  if (typeof order_id !== "string" || !ORDER.test(order_id)) throw new Unanswerable("malformed_order_id");
  const text = (value) => (typeof value === "string" && value.length <= 128 ? value : undefined);
  return { merchantId: merchant_id, orderId: order_id, provider: text(provider), transactionId: text(provider_transaction_id), step };
}

/** The accounts to ask: the one of the provider that is known, else all of the merchant. */
export function accountsFor(inquiry, merchants) {
  const all = merchants.get(inquiry.merchantId);
  if (!all) throw new Unanswerable("unknown_merchant");
  if (!inquiry.provider) return all;
  const some = all.filter(({ provider }) => provider === inquiry.provider);
  if (!some.length) throw new Unanswerable("no_account_of_provider");
  return some;
}

/** The provider's numbers of an order's payments, from the shop's own module. One order may have been tried several times. */
export function checkedAttempts(given) {
  if (given === undefined || given === null) return undefined;
  if (!Array.isArray(given) || given.some((one) => typeof one !== "string" || !ORDER.test(one))) throw new Error("attempts() must give a list of order numbers");
  return given.slice(-ATTEMPTS_MAX);
}

/**
 * Which of the answers are published. `answers`: a list for each account, empty where the shop knows of no attempt there. All that
 * were paid; else, if every attempt at every account has ended unpaid, the last of them. While one may still be paid, nothing: the
 * order stays as it is. One that a provider has not heard of may still be paid too: the payer has not come so far.
 */
export function results(answers) {
  const all = answers.flatMap(({ provider, list }) => list.map((one) => ({ provider, ...one })));
  const paid = all.filter(({ state }) => state === "paid");
  if (paid.length) return paid;
  return all.every(({ state }) => state === "unpaid") ? all.slice(-1) : [];
}

/** The event of a result. Asked twice, the provider gives the same, and so the event has the same id and counts once. */
export function event({ merchantId, orderId }, { provider, code, status, attempt, transactionId, occurredAt, amount }, now = new Date()) {
  // Where the provider says no time (WeChat Pay, of an order that was closed), the id goes without one.
  const parts = [provider, merchantId, transactionId ?? attempt, status, occurredAt ? Date.parse(occurredAt) : "-"];
  return {
    event_id: `inquiry:${parts.join(":")}`,
    merchant_id: merchantId,
    order_id: orderId,
    status,
    occurred_at: occurredAt ?? now.toISOString(),
    ...(amount && { amount }),
    provider,
    ...(transactionId && { provider_transaction_id: transactionId }),
    provider_status: code,
  };
}
