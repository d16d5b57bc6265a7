// Every word of the demo page, in English and Chinese, and how it writes numbers, money and time.

import { parameters, remember, remembered } from "./session.js";

const WORDS = {
  en: {
    title: "Cashier · payment-notifier demo", language: "中文", language_label: "切换到中文", language_lang: "zh-CN",
    banner: "Demo for development. Anybody who opens this page can publish payment results to RabbitMQ.",
    banner_label: "Warning", cashier: "Cashier", goods: "Goods", goods_name: "Jasmine tea, two cups", merchant: "Merchant",
    order: "Order", pay: "Pay {amount}", check_again: "Check again", new_order: "New order",
    ready: "To pay", ready_text: "Nothing has been paid yet.",
    confirming: "Confirming…", confirming_text: "This usually takes a few seconds. Leaving this page does not change the result.",
    processing_text: "The payment provider is working on it. You may leave this page.",
    action: "One more step", action_text: "Please finish the verification in your wallet or bank app.",
    held: "Amount held", held_text: "The amount is held and has not been taken yet.",
    late: "Still being confirmed", late_text: "Please check the order later. Do not pay again.",
    succeeded: "Paid", succeeded_text: "Thank you. The payment has arrived.",
    failed: "Not paid", failed_text: "The payment provider reports that this payment failed.",
    canceled: "Canceled", canceled_text: "This payment was called off.",
    expired: "Expired", expired_text: "This order was not paid in time.",
    refund_processing: "A refund is under way.", refund_partial: "{amount} has been refunded.", refund_partial_plain: "Partly refunded.",
    refund_full: "Refunded in full.",
    took: "{ms} from click to page, by {via}", via_websocket: "WebSocket", via_sse: "SSE", via_snapshot: "a fresh look", "via_long-poll": "long poll", via_poll: "poll",
    live: "Waiting for the result", live_final: "Connected: a later change would show here", connecting: "Connecting…", retrying: "No connection. The result is kept; trying again by itself.",
    offline: "This device is offline. The result is kept.", no_ticket: "The service refuses the ticket. The result is kept.",
    provider: "Payment provider", provider_hint: "Stand in for it: each button publishes a payment result to RabbitMQ.",
    publish_processing: "Processing", publish_succeeded: "Succeeded", publish_failed: "Failed",
    publish_pending: "Pending", publish_requires_action: "Action needed", publish_authorized: "Authorized", publish_canceled: "Canceled", publish_expired: "Expired",
    publish_refund_partial: "Refund of half", publish_refund_full: "Refund of all", publish_again: "The last one again", publish_out_of_order: "Out of order",
    publish_more: "More results", publish_more_hint: "“Again” repeats the last event under its id. “Out of order” publishes the success first, and then the processing that came before it.",
    events_refund_processing: "refund under way", events_refund_partial: "partly refunded", events_refund_full: "refunded",
    press_first: "You are the payment provider: press “Processing” or “Succeeded”", press_next: "Next: press “Succeeded” or “Failed”",
    compare_link: "Compare", timeline: "The order's timeline, for operators", repeated: "the same event again: it counts once",
    not_published: "Not published: {why}", no_answer: "the service did not answer",
    transport: "How the page waits", websocket: "WebSocket", sse: "SSE", long_poll: "Long poll", poll: "Poll",
    websocket_hint: "One socket for many orders. Pushed at once. Where sockets fail, the SDK takes the next way.",
    sse_hint: "One event stream for one order. Pushed at once, over plain HTTP.",
    "long-poll_hint": "A request that is held until there is something newer. Pushed at once.",
    poll_hint: "A request every two seconds, then less often. The last resort.",
    developer: "For developers", fact_link: "Connection", fact_version: "Version", fact_reconnects: "Reconnects",
    fact_ping: "Round trip", fact_acked: "Acknowledged", fact_ticket: "Ticket until",
    link_live: "open", link_connecting: "connecting", link_retrying: "lost, trying again", link_offline: "offline", link_no_ticket: "ticket refused",
    events: "Events", events_hint: "Milliseconds from the click on the button to this page.", events_empty: "Nothing yet.",
    frames: "Frames and requests", published: "Published: {status}", confirmed_in: "RabbitMQ confirmed in {ms}, event {id}",
    sending: "waiting for RabbitMQ", unchanged: "changes nothing: the payment already stands further on",
    replaced: "not shown: a newer version replaced it", refused: "not published: {why}", version: "version {version}",
    status: { pending: "Pending", requires_action: "Action needed", processing: "Processing", authorized: "Authorized",
      succeeded: "Succeeded", failed: "Failed", canceled: "Canceled", expired: "Expired" },
  },
  zh: {
    title: "收银台 · payment-notifier 演示", language: "English", language_label: "Switch to English", language_lang: "en",
    banner: "开发演示页：任何打开本页的人都能向 RabbitMQ 发布支付结果，请勿用于生产环境。",
    banner_label: "警告", cashier: "收银台", goods: "商品", goods_name: "茉莉花茶 两杯", merchant: "商户",
    order: "订单号", pay: "支付 {amount}", check_again: "再查一次", new_order: "新订单",
    ready: "待支付", ready_text: "尚未付款。",
    confirming: "支付结果确认中…", confirming_text: "通常只需几秒。离开本页不影响支付结果。",
    processing_text: "支付渠道正在处理，您可以离开本页。",
    action: "还差一步", action_text: "请在钱包或银行应用中完成验证。",
    held: "金额已冻结", held_text: "款项已冻结，尚未扣除。",
    late: "结果仍在确认", late_text: "请稍后在订单中查看结果，请勿重复支付。",
    succeeded: "支付成功", succeeded_text: "您已付款成功，谢谢惠顾。",
    failed: "支付未成功", failed_text: "支付渠道告知本次支付失败。",
    canceled: "支付已取消", canceled_text: "本次支付已被取消。",
    expired: "订单已过期", expired_text: "订单未在规定时间内支付。",
    refund_processing: "退款处理中。", refund_partial: "已退款 {amount}。", refund_partial_plain: "已部分退款。", refund_full: "已全额退款。",
    took: "从点击到显示 {ms}，经由 {via}", via_websocket: "WebSocket", via_sse: "SSE", via_snapshot: "主动查询", "via_long-poll": "长轮询", via_poll: "轮询",
    live: "正在等待支付结果", live_final: "保持连接：如有变化会在此显示", connecting: "连接中…", retrying: "连接已断开，结果不会丢失，正在自动重试。",
    offline: "设备当前离线，结果不会丢失。", no_ticket: "服务拒绝了票据，结果不会丢失。",
    provider: "模拟支付渠道", provider_hint: "每个按钮都会向 RabbitMQ 发布一条支付结果。",
    publish_processing: "处理中", publish_succeeded: "成功", publish_failed: "失败",
    publish_pending: "待支付", publish_requires_action: "需要操作", publish_authorized: "已授权", publish_canceled: "已取消", publish_expired: "已过期",
    publish_refund_partial: "退款一半", publish_refund_full: "全额退款", publish_again: "重发上一条", publish_out_of_order: "乱序到达",
    publish_more: "更多结果", publish_more_hint: "“重发上一条”用同一个事件 ID 再发一次；“乱序到达”先发布成功，再发布更早的处理中。",
    events_refund_processing: "退款中", events_refund_partial: "已部分退款", events_refund_full: "已全额退款",
    press_first: "现在由您扮演支付渠道：请按“处理中”或“成功”", press_next: "接下来请按“成功”或“失败”",
    compare_link: "对比", timeline: "该订单的时间线（运维用）", repeated: "同一事件重发：只算一次",
    not_published: "未能发布：{why}", no_answer: "服务没有应答",
    transport: "页面的等待方式", websocket: "WebSocket", sse: "SSE", long_poll: "长轮询", poll: "轮询",
    websocket_hint: "一条连接可等待多个订单，结果即时推送；连接失败时 SDK 自动改用下一种方式。",
    sse_hint: "一个订单一条事件流，走普通 HTTP，即时推送。",
    "long-poll_hint": "请求挂起，直到有更新的结果，即时返回。",
    poll_hint: "每两秒查询一次，之后逐渐放慢，用于兜底。",
    developer: "开发者信息", fact_link: "连接", fact_version: "版本", fact_reconnects: "重连次数",
    fact_ping: "往返时间", fact_acked: "已确认版本", fact_ticket: "票据有效至",
    link_live: "已连接", link_connecting: "连接中", link_retrying: "已断开，重试中", link_offline: "离线", link_no_ticket: "票据被拒绝",
    events: "事件", events_hint: "毫秒数为从点击按钮到本页显示的时间。", events_empty: "暂无。",
    frames: "原始帧与请求", published: "已发布：{status}", confirmed_in: "RabbitMQ 于 {ms} 内确认，事件 {id}",
    sending: "等待 RabbitMQ 确认", unchanged: "状态不变：支付已处于更靠后的状态",
    replaced: "未显示：已被更新的版本取代", refused: "未能发布：{why}", version: "版本 {version}",
    status: { pending: "待支付", requires_action: "需要操作", processing: "处理中", authorized: "已授权",
      succeeded: "成功", failed: "失败", canceled: "已取消", expired: "已过期" },
  },
};

let language = pickLanguage();

function pickLanguage() {
  const wanted = [parameters.get("lang"), remembered("language"), ...(navigator.languages ?? [navigator.language])];
  for (const tag of wanted) {
    if (/^zh/i.test(tag ?? "")) return "zh";
    if (/^en/i.test(tag ?? "")) return "en";
  }
  return "en";
}

export function switchLanguage() {
  language = language === "zh" ? "en" : "zh";
  remember("language", language);
}

/** Adds the words of another page: `{ en, zh }`. */
export function addWords(more) {
  for (const [tag, words] of Object.entries(more)) Object.assign(WORDS[tag], words);
}

export const languageTag = () => (language === "zh" ? "zh-CN" : "en");

export function say(key, values = {}) {
  return (WORDS[language][key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

export const sayStatus = (status) => WORDS[language].status[status] ?? status;
export const sayVia = (via) => say(`via_${via}`);
export const sayMs = (ms) => `${new Intl.NumberFormat(language).format(Math.max(0, Math.round(ms)))} ms`;
export const sayTime = (ms) => new Date(ms).toLocaleTimeString(language, { hour12: false });

export function sayMoney({ value, currency }) {
  try {
    const format = new Intl.NumberFormat(languageTag(), { style: "currency", currency, currencyDisplay: "narrowSymbol" });
    return format.format(value / 10 ** format.resolvedOptions().maximumFractionDigits);
  } catch {
    return `${value} ${currency}`;
  }
}
