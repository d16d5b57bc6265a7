// Alipay's gateway: alipay.trade.query, with signed requests and answers.
import { createSign, createVerify } from "node:crypto";

export const APP_ID = "2021000000000001";
const TRADE_STATES = { unpaid: "WAIT_BUYER_PAY", paying: "WAIT_BUYER_PAY", failed: "WAIT_BUYER_PAY", paid: "TRADE_SUCCESS", refunded: "TRADE_CLOSED", closed: "TRADE_CLOSED", revoked: "TRADE_CLOSED" };

export const isAlipay = (path) => path === "/gateway.do";

const beijing = (date) => new Date(date.getTime() + 8 * 3_600_000).toISOString().slice(0, 19).replace("T", " ");
const refused = (sub_code, sub_msg) => ({ code: "40002", msg: "Invalid Arguments", sub_code, sub_msg });

function refusal(keys, fields) {
  if (fields.app_id !== APP_ID) return refused("isv.invalid-app-id", "an unknown app_id");
  if (fields.sign_type !== "RSA2") return refused("isv.invalid-signature-type", "sign_type must be RSA2");
  const text = Object.keys(fields).filter((name) => name !== "sign" && fields[name] !== "").sort().map((name) => `${name}=${fields[name]}`).join("&");
  const genuine = createVerify("RSA-SHA256").update(text).verify(keys.pairs["alipay-app"].publicKey, fields.sign ?? "", "base64");
  return genuine ? null : refused("isv.invalid-signature", "the signature does not fit");
}

function trade(order) {
  return {
    code: "10000",
    msg: "Success",
    trade_no: order.transaction_id,
    out_trade_no: order.order_id,
    trade_status: TRADE_STATES[order.state],
    total_amount: (order.amount / 100).toFixed(2),
    buyer_logon_id: "fak***@example.com",
    ...(order.paid_at && { send_pay_date: beijing(order.paid_at), receipt_amount: (order.amount / 100).toFixed(2) }),
  };
}

/** Answers one request, whose fields stand partly in the query, partly in the form. */
export async function answer({ keys, orders }, request) {
  const fields = Object.fromEntries([...request.search, ...new URLSearchParams(request.body)]);
  let asked = {};
  try {
    asked = JSON.parse(fields.biz_content);
  } catch {}
  const orderId = asked.out_trade_no ?? orders.byTransaction("alipay", asked.trade_no)?.order_id ?? "";
  const end = orders.begin("alipay", orderId);
  const fault = orders.takeFault("alipay");
  const order = asked.trade_no ? orders.byTransaction("alipay", asked.trade_no) : orders.get("alipay", orderId);
  let node = refusal(keys, fields);
  if (!node && fields.method !== "alipay.trade.query") node = refused("isv.invalid-method", "not played here");
  if (!node && fault === "system_error") node = { code: "20000", msg: "Service Currently Unavailable", sub_code: "aop.ACQ.SYSTEM_ERROR", sub_msg: "the system is busy" };
  if (!node && fault === "frequency_limited") node = { code: "40004", msg: "Business Failed", sub_code: "isv.app-call-limited", sub_msg: "too many requests" };
  if (!node) node = order ? trade(order) : { code: "40004", msg: "Business Failed", sub_code: "ACQ.TRADE_NOT_EXIST", sub_msg: "no such trade" };
  const text = JSON.stringify(node);
  const sign = createSign("RSA-SHA256").update(fault === "wrong_signature" ? `${text} ` : text).sign(keys.pairs["alipay-platform"].privateKey, "base64");
  const name = `${(fields.method ?? "error").replaceAll(".", "_")}_response`;
  const body = fault === "no_signature" ? `{"${name}":${text}}` : `{"${name}":${text},"sign":"${sign}"}`;
  return { status: 200, headers: { "content-type": "text/html;charset=utf-8" }, body, fault, done: () => end(node.sub_code ?? node.trade_status) };
}
