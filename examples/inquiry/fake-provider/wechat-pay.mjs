// WeChat Pay, API v3: requests and answers are signed as there, and the notification is encrypted as there.
import { createCipheriv, createSign, createVerify, randomBytes } from "node:crypto";

export const MCHID = "1900000001";
export const MERCHANT_SERIAL = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1";
export const PUBLIC_KEY_ID = "PUB_KEY_ID_0119000000012026112800000000000001";
const CLOCK_OFF_S_MAX = 300;
const TRADE_STATES = { unpaid: "NOTPAY", paying: "USERPAYING", paid: "SUCCESS", refunded: "REFUND", closed: "CLOSED", failed: "PAYERROR", revoked: "REVOKED" };
const SINGLE = /^\/v3\/pay\/transactions\/out-trade-no\/([^/]+)$/;
const BY_TRANSACTION = /^\/v3\/pay\/transactions\/id\/(\w+)$/;
const PARTNER = /^\/v3\/pay\/partner\/transactions\/out-trade-no\/([^/]+)$/;
const PREPAY = /^\/v3\/pay\/transactions\/(jsapi|native|h5|app)$/;
const CLOSE = /^\/v3\/pay\/transactions\/out-trade-no\/([^/]+)\/close$/;

const now_s = () => Math.floor(Date.now() / 1000);
const failed = (status, code, message) => ({ status, body: { code, message } });
// Beijing's time, as the real one writes it.
const rfc3339 = (date) => `${new Date(date.getTime() + 8 * 3_600_000).toISOString().slice(0, 19)}+08:00`;

export const isWechatPay = (path) => path.startsWith("/v3/");

/** Why a request's signature is not the merchant's, or null. */
function refusal(keys, request) {
  const header = request.headers.authorization ?? "";
  const [scheme] = header.split(" ", 1);
  if (scheme !== "WECHATPAY2-SHA256-RSA2048") return "Authorization is missing or of another scheme";
  const parts = Object.fromEntries([...header.slice(scheme.length).matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value]));
  for (const name of ["mchid", "nonce_str", "timestamp", "serial_no", "signature"]) if (!parts[name]) return `${name} is missing`;
  if (parts.mchid !== MCHID) return "an unknown mchid";
  if (parts.serial_no !== MERCHANT_SERIAL) return "an unknown serial_no";
  if (!(Math.abs(now_s() - Number(parts.timestamp)) <= CLOCK_OFF_S_MAX)) return "the timestamp is off by more than 5 minutes";
  const text = `${request.method}\n${request.target}\n${parts.timestamp}\n${parts.nonce_str}\n${request.body}\n`;
  const genuine = createVerify("RSA-SHA256").update(text).verify(keys.pairs["wechat-pay-merchant"].publicKey, parts.signature, "base64");
  return genuine ? null : "the signature does not fit";
}

export function transaction(order) {
  const paid = order.paid_at !== null;
  const appid = order.appid ?? "wx0000000000000001";
  return {
    ...(order.sub_mchid ? { sp_appid: appid, sp_mchid: MCHID, sub_mchid: order.sub_mchid } : { appid, mchid: MCHID }),
    out_trade_no: order.order_id,
    ...(paid && { transaction_id: order.transaction_id, trade_type: "JSAPI", bank_type: "OTHERS", success_time: rfc3339(order.paid_at) }),
    ...(paid && { payer: { openid: "oFakePayer0000000000000000001" } }),
    ...(order.attach && paid && { attach: order.attach }),
    trade_state: TRADE_STATES[order.state],
    trade_state_desc: order.state,
    amount: { total: order.amount, currency: order.currency, ...(paid && { payer_total: order.amount, payer_currency: order.currency }) },
  };
}

function query(orders, outTradeNo, fault) {
  const order = orders.get("wechat_pay", outTradeNo);
  if (fault === "system_error") return failed(500, "SYSTEM_ERROR", "the system is busy, try again later");
  if (fault === "frequency_limited") return failed(429, "FREQUENCY_LIMITED", "too many requests");
  return order ? { status: 200, body: transaction(order) } : failed(404, "ORDER_NOT_EXIST", "no such order");
}

function prepay(orders, kind, body) {
  const asked = JSON.parse(body);
  if (!asked.out_trade_no || !Number.isInteger(asked.amount?.total)) return failed(400, "PARAM_ERROR", "out_trade_no or amount.total is missing");
  const { out_trade_no: order_id, attach, notify_url, appid, amount } = asked;
  orders.put({ provider: "wechat_pay", order_id, attach, notify_url, appid, amount: amount.total, currency: amount.currency });
  return { status: 200, body: kind === "native" ? { code_url: `weixin://wxpay/bizpayurl?pr=${order_id}` } : { prepay_id: `wx${order_id}` } };
}

/** The out_trade_no that a path asks for, if it is a query's. */
function asked(orders, path) {
  const [, transactionId] = BY_TRANSACTION.exec(path) ?? [];
  if (transactionId) return orders.byTransaction("wechat_pay", transactionId)?.order_id ?? transactionId;
  const [, outTradeNo] = SINGLE.exec(path) ?? PARTNER.exec(path) ?? [];
  return outTradeNo && decodeURIComponent(outTradeNo);
}

/** Answers one request. `request`: { method, target (path and query), path, search, headers, body (text) }. */
export async function answer({ keys, orders }, request) {
  const outTradeNo = asked(orders, request.path);
  const isQuery = request.method === "GET" && outTradeNo !== undefined;
  const end = isQuery ? orders.begin("wechat_pay", outTradeNo) : () => {};
  const fault = isQuery ? orders.takeFault("wechat_pay") : null;
  const why = refusal(keys, request);
  let given;
  if (!/application\/json|\*\/\*/.test(request.headers.accept ?? "")) given = failed(406, "PARAM_ERROR", "Accept must allow application/json");
  else if (why) given = failed(401, "SIGN_ERROR", why);
  else if (isQuery) given = wanted(request) ?? query(orders, outTradeNo, fault);
  else if (request.method === "POST" && PREPAY.test(request.path)) given = prepay(orders, PREPAY.exec(request.path)[1], request.body);
  else if (request.method === "POST" && CLOSE.test(request.path)) {
    orders.put({ provider: "wechat_pay", order_id: decodeURIComponent(CLOSE.exec(request.path)[1]), state: "closed" });
    given = { status: 204 };
  } else given = failed(404, "RESOURCE_NOT_EXISTS", "not played here");
  const body = given.body ? JSON.stringify(given.body) : "";
  return { status: given.status, headers: signed(keys, body, fault), body, fault, done: () => end(given.body?.code ?? given.body?.trade_state ?? String(given.status)) };
}

function wanted({ path, search }) {
  const names = PARTNER.test(path) ? ["sp_mchid", "sub_mchid"] : ["mchid"];
  const missing = names.find((name) => !search.get(name));
  if (missing) return failed(400, "PARAM_ERROR", `${missing} is missing`);
  return search.get(names[0]) === MCHID ? null : failed(403, "NO_AUTH", "mchid is not the signer's");
}

function signed(keys, body, fault) {
  const timestamp = String(now_s() - (fault === "stale_signature" ? 2 * CLOCK_OFF_S_MAX : 0));
  const nonce = randomBytes(16).toString("hex");
  const text = `${timestamp}\n${nonce}\n${fault === "wrong_signature" ? `${body} ` : body}\n`;
  const headers = { "content-type": "application/json; charset=utf-8", "request-id": randomBytes(12).toString("hex") };
  if (fault === "no_signature") return headers;
  return {
    ...headers,
    "wechatpay-serial": PUBLIC_KEY_ID,
    "wechatpay-timestamp": timestamp,
    "wechatpay-nonce": nonce,
    "wechatpay-signature": createSign("RSA-SHA256").update(text).sign(keys.pairs["wechat-pay-platform"].privateKey, "base64"),
    "wechatpay-signature-type": "WECHATPAY2-SHA256-RSA2048",
  };
}

/** The notification of a paid order: { headers, body }. The same order gives the same id, as the real one's repetitions do. */
export function notification(keys, order) {
  const nonce = randomBytes(6).toString("hex");
  const cipher = createCipheriv("aes-256-gcm", Buffer.from(keys.secrets["wechat-pay-api-v3-key"]), nonce);
  cipher.setAAD(Buffer.from("transaction"));
  const ciphertext = Buffer.concat([cipher.update(JSON.stringify(transaction(order))), cipher.final(), cipher.getAuthTag()]).toString("base64");
  const body = JSON.stringify({
    id: `EV-${order.transaction_id}`,
    create_time: rfc3339(order.paid_at),
    resource_type: "encrypt-resource",
    event_type: "TRANSACTION.SUCCESS",
    summary: "支付成功",
    resource: { original_type: "transaction", algorithm: "AEAD_AES_256_GCM", ciphertext, associated_data: "transaction", nonce },
  });
  return { headers: signed(keys, body, null), body };
}
