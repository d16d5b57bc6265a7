// Alipay, alipay.trade.query by alipay-sdk, which signs the request and, with validateSign, verifies the answer's raw text.
import { AlipaySdk } from "alipay-sdk";
import { QueryError, networkError } from "../errors.mjs";
import { inTurn } from "./wechat-pay.mjs";

// TRADE_CLOSED is a payment that was wholly refunded, or an order that nobody paid: the time of payment tells.
const PAID = ["TRADE_SUCCESS", "TRADE_FINISHED"];
// Normal until the buyer has entered the password.
const UNKNOWN_TRADE = "ACQ.TRADE_NOT_EXIST";
const OK = "10000";

export function alipay({ app_id, privateKey, publicKey, base_url }, timeout_ms) {
  const sdk = new AlipaySdk({
    appId: app_id,
    privateKey: privateKey.export({ type: "pkcs1", format: "pem" }).trim(),
    alipayPublicKey: publicKey.export({ type: "spki", format: "pem" }).trim(),
    timeout: timeout_ms,
    ...(base_url && { gateway: base_url }),
  });

  async function one(outTradeNo) {
    let answer;
    try {
      answer = await sdk.exec("alipay.trade.query", { bizContent: { out_trade_no: outTradeNo } }, { validateSign: true });
    } catch (error) {
      throw failure(error);
    }
    if (answer.subCode === UNKNOWN_TRADE) return { state: "absent", code: answer.subCode };
    if (answer.code !== OK) throw refusal(answer);
    return read(answer, outTradeNo);
  }

  return { query: ({ orderId, attempts }) => inTurn(attempts ?? [orderId], one) };
}

function read({ tradeStatus, tradeNo, outTradeNo, totalAmount, sendPayDate }, asked) {
  if (outTradeNo !== asked) throw new QueryError("untrusted", "unexpected_answer");
  if (tradeStatus === "WAIT_BUYER_PAY") return { state: "open", code: tradeStatus };
  const paid = PAID.includes(tradeStatus) || (tradeStatus === "TRADE_CLOSED" && sendPayDate);
  if (!paid && tradeStatus !== "TRADE_CLOSED") throw new QueryError("untrusted", "unexpected_answer");
  const found = { state: paid ? "paid" : "unpaid", code: tradeStatus, status: paid ? "succeeded" : "expired", attempt: outTradeNo, transactionId: tradeNo, amount: fen(totalAmount) };
  if (!paid) return found;
  if (!/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/.test(sendPayDate ?? "") || !tradeNo) throw new QueryError("untrusted", "unexpected_answer");
  // Beijing's time, without a zone.
  return { ...found, occurredAt: `${sendPayDate.replace(" ", "T")}+08:00` };
}

/** "19.9" is 1990 fen, by digits: 19.9 * 100 is not. */
function fen(yuan) {
  const [, whole, part = ""] = /^(\d{1,12})(?:\.(\d{1,2}))?$/.exec(yuan ?? "") ?? [];
  return whole === undefined ? undefined : { value: Number(whole) * 100 + Number(part.padEnd(2, "0")), currency: "CNY" };
}

function refusal({ code, subCode = "" }) {
  const known = /^[\w.-]{1,64}$/.test(subCode) ? subCode : code;
  if (/call-limited|frequency/i.test(subCode)) return new QueryError("limited", known);
  return new QueryError(code === "20000" || /SYSTEM_ERROR/.test(subCode) ? "busy" : "refused", known);
}

function failure(error) {
  // The SDK's message holds the whole answer, so it is looked at and not passed on.
  const { message = "", cause } = error ?? {};
  if (message.startsWith("HttpClient Request error")) return networkError(cause ?? error);
  const status = /status: (\d{3})/.exec(message)?.[1];
  if (status) return new QueryError(status === "429" ? "limited" : "busy", `http_${status}`);
  return new QueryError("untrusted", "bad_signature");
}
