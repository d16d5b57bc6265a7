// WeChat Pay, API v3. wechatpay-axios-plugin signs the request, and verifies the signature of a successful answer over its raw
// body before it is parsed. (wechatpay-node-v3 2.2.1 does not: it gives the parsed body alone.) Answers that say an error are
// not verified; nothing is published because of them.
import { Wechatpay } from "wechatpay-axios-plugin";
import { QueryError, networkError } from "../errors.mjs";

const ANSWER_BYTES_MAX = 262_144;
// REFUND was paid: money moved, and then back. CLOSED and the others that end unpaid are never notified, only queried.
const STATUSES = { SUCCESS: "succeeded", REFUND: "succeeded", CLOSED: "expired", REVOKED: "canceled", PAYERROR: "failed" };
const OPEN = ["NOTPAY", "USERPAYING", "ACCEPT"];
// Not paid yet, or not even asked for: the payer has not come so far.
const UNKNOWN_ORDER = ["ORDER_NOT_EXIST", "ORDERNOTEXIST"];
/** What wechatpay-axios-plugin says of a successful answer that it does not believe; all others are bad_signature. */
const UNTRUSTED = { EV3_RES_HEADER_PLATFORM_SERIAL: "unknown_platform_key", EV3_RES_HEADER_TIMESTAMP_OFFSET: "clock_off" };
const LIMITED = ["FREQUENCY_LIMITED", "FREQUENCY_LIMIT_EXCEED", "RATELIMIT_EXCEEDED"];

export function wechatPay({ mchid, sub_mchid, serial_no, privateKey, platformKeys, base_url }, timeout_ms) {
  const { client } = new Wechatpay({ mchid, serial: serial_no, privateKey, certs: { ...platformKeys }, ...(base_url && { baseURL: base_url }) });
  const keyId = Object.keys(platformKeys).find((id) => id.startsWith("PUB_KEY_ID_"));
  const config = {
    timeout: timeout_ms,
    maxContentLength: ANSWER_BYTES_MAX,
    maxRedirects: 0,
    headers: { Accept: "application/json", ...(keyId && { "Wechatpay-Serial": keyId }) },
    params: sub_mchid ? { sp_mchid: mchid, sub_mchid } : { mchid },
  };
  const path = sub_mchid ? "v3/pay/partner/transactions/out-trade-no" : "v3/pay/transactions/out-trade-no";

  async function one(outTradeNo) {
    let answer;
    try {
      ({ data: answer } = await client.request(`${path}/${encodeURIComponent(outTradeNo)}`, "get", undefined, { ...config }));
    } catch (error) {
      const { code } = failure(error);
      if (UNKNOWN_ORDER.includes(code)) return { state: "absent", code };
      throw failure(error);
    }
    return read(answer, outTradeNo, sub_mchid ? answer?.sp_mchid === mchid && answer?.sub_mchid === sub_mchid : answer?.mchid === mchid);
  }

  return { query: ({ orderId, attempts }) => inTurn(attempts ?? [orderId], one) };
}

/** One after the other: one query an order at a time. */
export async function inTurn(list, query) {
  const answers = [];
  for (const one of list) answers.push(await query(one));
  return answers;
}

function read(answer, outTradeNo, isOurs) {
  const { trade_state: code, transaction_id, success_time, amount } = answer ?? {};
  if (!isOurs || answer.out_trade_no !== outTradeNo) throw new QueryError("untrusted", "unexpected_answer");
  if (OPEN.includes(code)) return { state: "open", code };
  const status = Object.hasOwn(STATUSES, code) ? STATUSES[code] : null;
  if (!status || (status === "succeeded" && (!success_time || !transaction_id))) throw new QueryError("untrusted", "unexpected_answer");
  return {
    state: status === "succeeded" ? "paid" : "unpaid",
    code,
    status,
    attempt: outTradeNo,
    transactionId: transaction_id,
    occurredAt: success_time,
    // The order's total, as the service takes it from the callback. payer_total is less where a coupon was used.
    amount: Number.isInteger(amount?.total) ? { value: amount.total, currency: amount.currency ?? "CNY" } : undefined,
  };
}

function failure(error) {
  if (error instanceof QueryError) return error;
  if (String(error?.code).startsWith("EV3_RES_")) return new QueryError("untrusted", UNTRUSTED[error.code] ?? "bad_signature");
  const { status, data } = error?.response ?? {};
  if (!status) return networkError(error);
  const code = typeof data?.code === "string" && /^\w{1,64}$/.test(data.code) ? data.code : `http_${status}`;
  if (LIMITED.includes(code) || status === 429) return new QueryError("limited", code);
  return new QueryError(status >= 500 ? "busy" : "refused", code);
}
