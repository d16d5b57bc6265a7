// Stripe: the PaymentIntent by its id where that is known, else all intents whose metadata names the order. The search lags
// behind by up to a minute, so shops that keep the intents' ids give them (attempts_module). Stripe signs no answers: TLS alone
// says that they are Stripe's.
import Stripe from "stripe";
import { QueryError, networkError } from "../errors.mjs";
import { inTurn } from "./wechat-pay.mjs";

const INTENTS_MAX = 20;

export function stripe({ secretKey, order_id_metadata = "order_id", base_url }, timeout_ms) {
  const at = base_url && new URL(base_url);
  const sdk = new Stripe(secretKey, {
    timeout: timeout_ms,
    maxNetworkRetries: 0,
    telemetry: false,
    ...(at && { protocol: at.protocol.slice(0, -1), host: at.hostname, port: at.port || undefined }),
  });
  const call = (work) => work.catch((error) => Promise.reject(failure(error)));

  async function one(id) {
    try {
      return read(await call(sdk.paymentIntents.retrieve(id, { expand: ["latest_charge"] })));
    } catch (error) {
      if (error.code === "resource_missing") return { state: "absent", code: error.code };
      throw error;
    }
  }

  async function search(orderId) {
    // Order numbers hold no quotes or backslashes.
    const { data } = await call(sdk.paymentIntents.search({ query: `metadata["${order_id_metadata}"]:"${orderId}"`, limit: INTENTS_MAX, expand: ["data.latest_charge"] }));
    return data.length ? data.map(read) : [{ state: "absent", code: "not_found" }];
  }

  return {
    query({ orderId, transactionId, attempts }) {
      const ids = attempts ?? (/^pi_\w+$/.test(transactionId ?? "") ? [transactionId] : null);
      return ids ? inTurn(ids, one) : search(orderId);
    },
  };
}

function read({ id, status: code, amount, amount_received, currency, created, canceled_at, latest_charge: charge }) {
  const time = (s) => (s ? new Date(s * 1000).toISOString() : undefined);
  const found = { code, attempt: id, transactionId: id };
  if (code === "succeeded") return { ...found, state: "paid", status: "succeeded", occurredAt: time(charge?.created ?? created), amount: money(amount_received ?? amount, currency) };
  if (code === "canceled") return { ...found, state: "unpaid", status: "canceled", occurredAt: time(canceled_at), amount: money(amount, currency) };
  // A declined card can be tried again with the same intent.
  return { state: "open", code };
}

const money = (value, currency) => ({ value, currency: currency.toUpperCase() });

function failure(error) {
  if (error instanceof Stripe.errors.StripeConnectionError) return networkError(error);
  const status = error?.statusCode;
  const code = error?.code ?? `http_${status ?? "none"}`;
  if (error instanceof Stripe.errors.StripeRateLimitError || status === 429) return new QueryError("limited", code);
  if (status >= 500 || !status) return new QueryError("busy", code);
  return new QueryError("refused", code);
}
