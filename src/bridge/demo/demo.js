// The demo cashier: makes an order, gets a ticket, waits for the payment result over one of four transports and shows
// each state as it comes. It keeps to what a real page has to do (docs/PROTOCOL.md, "What a client does"), but for the
// buttons that publish results, which only a demo may have.

// --- Words ------------------------------------------------------------------------------------------------------------

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
    took: "{ms} from click to page, by {via}", via_snapshot: "a fresh look", "via_long-poll": "long poll", via_poll: "poll",
    live: "Waiting for the result", live_final: "Connected: a later change would show here", connecting: "Connecting…", retrying: "No connection. The result is kept; trying again by itself.",
    offline: "This device is offline. The result is kept.",
    provider: "Payment provider", provider_hint: "Stand in for it: each button publishes a payment result to RabbitMQ.",
    publish_processing: "Processing", publish_succeeded: "Succeeded", publish_failed: "Failed",
    not_published: "Not published: {why}", no_answer: "the service did not answer",
    transport: "How the page waits", websocket: "WebSocket", sse: "SSE", long_poll: "Long poll", poll: "Poll",
    websocket_hint: "One socket for many orders. Pushed at once.",
    sse_hint: "One event stream for one order. Pushed at once, over plain HTTP.",
    "long-poll_hint": "A request that is held until there is something newer. Pushed at once.",
    poll_hint: "A question every two seconds, then less often. The last resort.",
    developer: "For developers", fact_link: "Connection", fact_version: "Version", fact_reconnects: "Reconnects",
    fact_ping: "Round trip", fact_acked: "Acknowledged", fact_ticket: "Ticket until",
    link_live: "open", link_connecting: "connecting", link_retrying: "lost, trying again", link_offline: "offline",
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
    succeeded: "支付成功", succeeded_text: "谢谢惠顾，款项已到账。",
    failed: "支付未成功", failed_text: "支付渠道告知本次支付失败。",
    canceled: "支付已取消", canceled_text: "本次支付已被取消。",
    expired: "订单已过期", expired_text: "订单未在规定时间内支付。",
    refund_processing: "退款处理中。", refund_partial: "已退款 {amount}。", refund_partial_plain: "已部分退款。", refund_full: "已全额退款。",
    took: "从点击到显示 {ms}，经由 {via}", via_snapshot: "主动查询", "via_long-poll": "长轮询", via_poll: "轮询",
    live: "正在等待支付结果", live_final: "保持连接：如有变化会在此显示", connecting: "连接中…", retrying: "连接已断开，结果不会丢失，正在自动重试。",
    offline: "设备当前离线，结果不会丢失。",
    provider: "模拟支付渠道", provider_hint: "每个按钮都会向 RabbitMQ 发布一条支付结果。",
    publish_processing: "处理中", publish_succeeded: "成功", publish_failed: "失败",
    not_published: "未能发布：{why}", no_answer: "服务没有应答",
    transport: "页面的等待方式", websocket: "WebSocket", sse: "SSE", long_poll: "长轮询", poll: "轮询",
    websocket_hint: "一条连接可等待多个订单，结果即时推送。",
    sse_hint: "一个订单一条事件流，走普通 HTTP，即时推送。",
    "long-poll_hint": "请求挂起，直到有更新的结果，即时返回。",
    poll_hint: "每两秒询问一次，之后逐渐放慢。最后的手段。",
    developer: "开发者信息", fact_link: "连接", fact_version: "版本", fact_reconnects: "重连次数",
    fact_ping: "往返时间", fact_acked: "已确认版本", fact_ticket: "票据有效至",
    link_live: "已连接", link_connecting: "连接中", link_retrying: "已断开，重试中", link_offline: "离线",
    events: "事件", events_hint: "毫秒数为从点击按钮到本页显示的时间。", events_empty: "暂无。",
    frames: "原始帧与请求", published: "已发布：{status}", confirmed_in: "RabbitMQ 于 {ms} 内确认，事件 {id}",
    sending: "等待 RabbitMQ 确认", unchanged: "状态不变：支付已处于更靠后的状态",
    replaced: "未显示：已被更新的版本取代", refused: "未能发布：{why}", version: "版本 {version}",
    status: { pending: "待支付", requires_action: "需要操作", processing: "处理中", authorized: "已授权",
      succeeded: "成功", failed: "失败", canceled: "已取消", expired: "已过期" },
  },
};

const parameters = new URLSearchParams(location.search);
let language = pickLanguage();

function pickLanguage() {
  const wanted = [parameters.get("lang"), remembered("language"), ...(navigator.languages ?? [navigator.language])];
  for (const tag of wanted) {
    if (/^zh/i.test(tag ?? "")) return "zh";
    if (/^en/i.test(tag ?? "")) return "en";
  }
  return "en";
}

function say(key, values = {}) {
  return (WORDS[language][key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

const sayStatus = (status) => WORDS[language].status[status] ?? status;
const sayVia = (via) => say(`via_${via}` in WORDS[language] ? `via_${via}` : via);
const sayMs = (ms) => `${new Intl.NumberFormat(language).format(Math.max(0, Math.round(ms)))} ms`;

function sayMoney({ value, currency }) {
  try {
    const format = new Intl.NumberFormat(language === "zh" ? "zh-CN" : "en", { style: "currency", currency, currencyDisplay: "narrowSymbol" });
    return format.format(value / 10 ** format.resolvedOptions().maximumFractionDigits);
  } catch {
    return `${value} ${currency}`;
  }
}

function sayTime(ms) {
  return new Date(ms).toLocaleTimeString(language, { hour12: false });
}

// --- Bounds and small tools -------------------------------------------------------------------------------------------

const AMOUNT = { value: 1999, currency: "CNY" };
// After this long a page stops promising and says: check the order later, do not pay again.
const LATE_MS = 1000 * (Number(parameters.get("late_s")) || 75);
const ANSWER_MS = 10_000;
const PING_MS = 20_000;
const STREAM_SILENT_MS = 45_000;
const LONG_POLL_S = 25;
const POLL_MS = [2000, 2000, 2000, 2000, 2000, 3000, 5000, 8000, 10_000];
const BACKOFF_FIRST_MS = 500;
const BACKOFF_LONGEST_MS = 15_000;
const FRAMES_MAX = 60;
const EVENTS_MAX = 40;

const RANK = { failed: 1, canceled: 1, expired: 1, succeeded: 2 };
const rank = (status) => RANK[status] ?? 0;
const $ = (id) => document.getElementById(id);

function remembered(key) {
  try { return sessionStorage.getItem(`payment-notifier-demo-${key}`); } catch { return null; }
}

function remember(key, value) {
  try { sessionStorage.setItem(`payment-notifier-demo-${key}`, value); } catch { /* private mode: nothing is kept */ }
}

function newOrderId() {
  const time = new Date().toISOString().replace(/\D/g, "").slice(2, 14);
  const random = crypto.getRandomValues(new Uint32Array(1))[0].toString(36).toUpperCase().padStart(7, "0");
  return `D${time}-${random}`;
}

function backoff(attempt) {
  const ms = Math.min(BACKOFF_LONGEST_MS, BACKOFF_FIRST_MS * 2 ** Math.min(attempt, 10));
  return ms * (0.5 + Math.random() / 2);
}

/** All timers of one owner, by name, so that none outlives it. */
class Timers {
  #handles = new Map();
  set(name, ms, run) {
    this.clear(name);
    this.#handles.set(name, setTimeout(() => { this.#handles.delete(name); run(); }, ms));
  }
  clear(name) {
    clearTimeout(this.#handles.get(name));
    this.#handles.delete(name);
  }
  clearAll() {
    for (const name of [...this.#handles.keys()]) this.clear(name);
  }
}

/** An answer that is not 2xx or 304, with the stable code of its problem document. */
class Refused extends Error {
  constructor(status, problem, retryAfter) {
    super(problem.detail ?? problem.title ?? `HTTP ${status}`);
    this.status = status;
    this.code = problem.code ?? `http_${status}`;
    this.after_ms = /^\d+$/.test(retryAfter ?? "") ? 1000 * Number(retryAfter) : undefined;
  }
}

async function request(path, { method = "GET", ticket, headers = {}, body, signal, timeout_ms = ANSWER_MS } = {}) {
  const all = { ...headers };
  if (ticket) all.Authorization = `Bearer ${ticket}`;
  if (body !== undefined) all["Content-Type"] = "application/json";
  const text = body === undefined ? undefined : JSON.stringify(body);
  frame("↑", `${method} ${path}${text ? ` ${text}` : ""}`);
  const response = await fetch(path, {
    method, headers: all, body: text, cache: "no-store", credentials: "omit",
    signal: signalOf(signal, timeout_ms),
  });
  if (response.ok || response.status === 304) return response;
  const problem = await response.json().catch(() => ({}));
  frame("↓", `${response.status} ${JSON.stringify(problem)}`);
  throw new Refused(response.status, problem, response.headers.get("Retry-After"));
}

function signalOf(signal, timeout_ms) {
  const signals = [signal, timeout_ms && AbortSignal.timeout(timeout_ms)].filter(Boolean);
  return signals.length > 1 ? AbortSignal.any(signals) : signals[0];
}

async function readJson(response) {
  const text = await response.text();
  frame("↓", `${response.status} ${text}`);
  return text ? JSON.parse(text) : undefined;
}

// --- Four ways to wait ------------------------------------------------------------------------------------------------

/**
 * One connection, or one series of requests. It tells its wait when it is `live`, gives it each payment that it
 * `received`, and says once that it is `lost`. After `stop` it says nothing more.
 */
class Link {
  timers = new Timers();
  aborter = new AbortController();
  stopped = false;
  heardAt = Date.now();

  constructor(wait) { this.wait = wait; }
  get path() { return `/v1/payments/${encodeURIComponent(this.wait.orderId)}`; }
  get options() { return { ticket: this.wait.ticket, signal: this.aborter.signal }; }

  stop() {
    this.stopped = true;
    this.timers.clearAll();
    this.aborter.abort();
  }

  lost(why, how = {}) {
    if (this.stopped) return;
    this.stop();
    this.wait.lost(why, how);
  }

  failed(error) {
    if (this.stopped) return;
    if (error instanceof Refused) this.lost(error.code, { renew: error.status === 401, after_ms: error.after_ms });
    else this.lost(error.name === "TimeoutError" ? "no answer" : "no connection");
  }

  live() {
    if (this.stopped) return;
    this.heardAt = Date.now();
    this.wait.live();
  }

  received(payment) {
    if (!this.stopped) this.wait.received(payment, this.wait.transport);
  }

  /** The page is in front again. Timers may have slept, so only the clock is believed. */
  check() {}
  /** True if the link itself carried the acknowledgement. */
  acknowledge() { return false; }
}

class SocketLink extends Link {
  start() {
    const url = new URL("/v1/ws", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    frame("↑", `WebSocket ${url.pathname}`);
    this.socket = new WebSocket(url);
    this.timers.set("answer", ANSWER_MS, () => this.lost("no answer"));
    // The ticket goes in the first frame: a URL would end up in logs.
    this.socket.onopen = () => this.send({ type: "subscribe", ticket: this.wait.ticket });
    this.socket.onmessage = ({ data }) => this.hear(data);
    this.socket.onclose = ({ code, reason }) => {
      frame("↓", `closed ${code} ${reason}`);
      // Codes alone are not believed: an error frame before the close has already said what matters.
      this.lost(`closed ${code}`, { renew: code === 4401, after_ms: this.left() });
    };
  }

  stop() {
    super.stop();
    if (!this.socket) return;
    this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
    this.socket.close(1000);
  }

  send(message) {
    if (this.socket.readyState !== WebSocket.OPEN) return false;
    const text = JSON.stringify(message);
    frame("↑", text);
    this.socket.send(text);
    return true;
  }

  hear(text) {
    frame("↓", text);
    this.heardAt = Date.now();
    this.timers.clear("pong");
    const message = parse(text);
    switch (message?.type) {
      case "subscribed":
        if (message.order_id !== this.wait.orderId) return;
        this.timers.clear("answer");
        this.live();
        this.later();
        this.received(message.payment);
        break;
      case "payment":
        this.received(message.payment);
        break;
      case "pong":
        this.wait.roundTrip(performance.now() - this.pingedAt);
        break;
      case "reconnect":
        this.again_at = Date.now() + (Number(message.after_ms) || 0);
        this.timers.set("again", this.left(), () => this.lost("the node is stopping", { after_ms: 0 }));
        break;
      case "error":
        this.refuse(message.code);
        break;
      default: // A type of a later version of the protocol.
    }
  }

  refuse(code) {
    if (code === "ticket_expired" || code === "invalid_ticket") this.lost(code, { renew: true });
    else if (code === "rate_limited") this.lost(code, { after_ms: 5000 + backoff(0) });
    else if (code === "bad_request") return; // The service closes if it has to.
    else this.lost(code, { after_ms: BACKOFF_LONGEST_MS });
  }

  /** Milliseconds until the time that a stopping node has asked for, if one has. */
  left() { return this.again_at && Math.max(0, this.again_at - Date.now()); }

  later() { this.timers.set("ping", PING_MS, () => this.ping(ANSWER_MS)); }

  ping(answer_ms) {
    this.pingedAt = performance.now();
    if (!this.send({ type: "ping" })) return;
    this.timers.set("pong", answer_ms, () => this.lost("no pong"));
    this.later();
  }

  check() { if (this.socket.readyState === WebSocket.OPEN) this.ping(ANSWER_MS / 2); }
  acknowledge(version) { return this.send({ type: "ack", order_id: this.wait.orderId, version }); }
}

class StreamLink extends Link {
  async start() {
    try {
      const headers = { Accept: "text/event-stream" };
      if (this.wait.heardVersion !== null) headers["Last-Event-ID"] = String(this.wait.heardVersion);
      this.silence();
      // Not EventSource: that can send no header, so its ticket would be in the URL, and it hides the status of a refusal.
      const response = await request(`${this.path}/events`, { ...this.options, headers, timeout_ms: 0 });
      this.live();
      const reader = response.body.getReader();
      const [decoder, lines] = [new TextDecoder(), new EventLines((event) => this.hear(event))];
      for (;;) {
        const { done, value } = await reader.read();
        if (this.stopped) return;
        if (done) return this.lost("the stream ended", { after_ms: this.retry_ms });
        this.heardAt = Date.now();
        this.silence();
        lines.feed(decoder.decode(value, { stream: true }));
      }
    } catch (error) {
      this.failed(error);
    }
  }

  silence() { this.timers.set("silent", STREAM_SILENT_MS, () => this.lost("silent")); }

  hear({ event, data, id, retry }) {
    if (retry !== undefined) this.retry_ms = retry;
    if (data === undefined) return frame("↓", event === "comment" ? ": heartbeat" : `retry: ${retry}`);
    frame("↓", `event: ${event}${id ? ` id: ${id}` : ""} ${data}`);
    const message = parse(data);
    if (event === "payment" && message) this.received(message.payment ?? message);
    else if (event === "error") this.lost(message?.code ?? "error", { renew: message?.code === "ticket_expired" });
    else if (event === "reconnect") this.lost("the node is stopping", { after_ms: Number(message?.after_ms) || 0 });
  }

  check() { if (Date.now() - this.heardAt > STREAM_SILENT_MS) this.lost("silent"); }
}

/** The event stream format, from pieces of text that end anywhere. */
class EventLines {
  #rest = "";
  #event = {};
  constructor(emit) { this.emit = emit; }

  feed(text) {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop();
    lines.forEach((line) => this.#line(line));
  }

  #line(line) {
    if (line === "") {
      if (this.#event.data !== undefined) this.emit({ event: "message", ...this.#event });
      this.#event = {};
      return;
    }
    if (line.startsWith(":")) return this.emit({ event: "comment" });
    const [, field, value] = /^([^:]*):? ?([^]*)$/.exec(line);
    if (field === "data") this.#event.data = this.#event.data === undefined ? value : `${this.#event.data}\n${value}`;
    else if (field === "event" || field === "id") this.#event[field] = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.emit({ event: "retry", retry: Number(value) });
  }
}

class LongPollLink extends Link {
  async start() {
    try {
      let query = "";
      for (;;) {
        const asked_at = Date.now();
        this.heardAt = asked_at;
        const timeout_ms = query ? 1000 * LONG_POLL_S + ANSWER_MS : ANSWER_MS;
        const before = this.wait.heardVersion;
        const payment = await readJson(await request(this.path + query, { ...this.options, timeout_ms }));
        if (this.stopped) return;
        this.live();
        this.received(payment);
        // The version that was last heard, not the one that is shown: with another the service would answer at once, for ever.
        const same = before === this.wait.heardVersion;
        query = `?after=${this.wait.heardVersion}&wait=${LONG_POLL_S}`;
        if (same && Date.now() - asked_at < 1000) await this.pause(1000);
        if (this.stopped) return;
      }
    } catch (error) {
      this.failed(error);
    }
  }

  pause(ms) { return new Promise((resolve) => this.timers.set("pause", ms, resolve)); }

  check() { if (Date.now() - this.heardAt > 1000 * LONG_POLL_S + ANSWER_MS) this.lost("no answer"); }
}

class PollLink extends Link {
  turn = 0;

  start() { return this.ask(); }

  async ask() {
    try {
      this.timers.clear("ask");
      this.asking = true;
      const headers = this.etag ? { "If-None-Match": this.etag } : {};
      const response = await request(this.path, { ...this.options, headers });
      if (this.stopped) return;
      if (response.status === 304) frame("↓", "304");
      else {
        const payment = await readJson(response);
        this.etag = response.headers.get("ETag");
        this.received(payment);
      }
      this.live();
      this.asking = false;
      const ms = this.wait.payment?.final ? POLL_MS.at(-1) : POLL_MS[Math.min(this.turn++, POLL_MS.length - 1)];
      this.timers.set("ask", ms * (0.9 + Math.random() / 5), () => this.ask());
    } catch (error) {
      this.failed(error);
    }
  }

  check() {
    this.turn = 0;
    if (!this.asking && !this.stopped) this.ask();
  }
}

const LINKS = { websocket: SocketLink, sse: StreamLink, "long-poll": LongPollLink, poll: PollLink };

function parse(text) {
  try { return JSON.parse(text); } catch { return undefined; }
}

// --- One order --------------------------------------------------------------------------------------------------------

/** Waits for the result of one order: keeps a link up, never lets the version go back, acknowledges what was shown. */
class Wait {
  timers = new Timers();
  aborter = new AbortController();
  payment = null;
  /** The version that the service said last, 0 for an order that it has not heard of; it may differ from what is shown. */
  heardVersion = null;
  state = "connecting";
  reconnects = 0;
  attempt = 0;
  turn = 0;
  ended = false;

  constructor(orderId, transport, paidAt) {
    this.orderId = orderId;
    this.transport = transport;
    this.paidAt = paidAt;
  }

  async connect() {
    this.timers.clear("retry");
    this.link?.stop();
    this.link = undefined;
    const turn = ++this.turn;
    this.become("connecting");
    try {
      if (!this.ticket || this.ticketUntil - Date.now() < 5000) await this.mint();
    } catch (error) {
      if (turn === this.turn && !this.ended) this.lost(error.code ?? "no connection", { after_ms: error.after_ms });
      return;
    }
    if (turn !== this.turn || this.ended) return;
    this.link = new LINKS[this.transport](this);
    this.link.start();
  }

  async mint() {
    const body = { order_id: this.orderId };
    const minted = await readJson(await request("/demo/api/tickets", { method: "POST", body, signal: this.aborter.signal }));
    const until = typeof minted.expires_at === "number" ? 1000 * minted.expires_at : Date.parse(minted.expires_at);
    this.ticket = minted.ticket;
    this.ticketUntil = Number.isFinite(until) ? until : Infinity;
    this.merchantId = minted.merchant_id;
    render();
  }

  use(transport) {
    this.transport = transport;
    this.attempt = 0;
    this.roundTripMs = undefined;
    if (!this.ended) this.connect();
  }

  live() {
    this.attempt = 0;
    this.become("live");
    this.acknowledge();
  }

  lost(why, { renew = false, after_ms } = {}) {
    if (this.ended) return;
    this.link?.stop();
    if (renew) this.ticket = undefined;
    const first = this.attempt++ === 0;
    const ms = Math.max(after_ms ?? 0, after_ms === undefined && !(renew && first) ? backoff(this.attempt - 1) : 0);
    frame("·", `${why}; again in ${Math.round(ms)} ms`);
    this.become(navigator.onLine === false ? "offline" : "retrying");
    this.timers.set("retry", ms, () => this.reconnect());
  }

  reconnect() {
    this.reconnects++;
    this.connect();
  }

  received(payment, via) {
    const at = performance.now();
    const version = payment?.version ?? 0;
    this.heardVersion = version;
    const shown = this.payment?.version ?? 0;
    // A rank above the one shown is believed whatever its version: the service may have been given a new store.
    if (version === 0 || (version <= shown && rank(payment.status) <= rank(this.payment.status))) return;
    const skipped = Math.max(0, version - shown - 1);
    if (version <= shown) this.acked = undefined;
    this.payment = payment;
    this.startConfirming();
    came(this, payment, via, at, skipped);
    render();
    // Two frames later it has been painted. A hidden page paints nothing, and so acknowledges nothing.
    requestAnimationFrame(() => requestAnimationFrame(() => this.acknowledge()));
  }

  acknowledge() {
    const version = this.payment?.version ?? 0;
    if (this.ended || document.hidden || version === 0 || version <= (this.acked ?? 0)) return;
    const before = this.acked;
    this.acked = version;
    render();
    if (this.link?.acknowledge(version)) return;
    const path = `/v1/payments/${encodeURIComponent(this.orderId)}/ack`;
    const options = { method: "POST", body: { version }, ticket: this.ticket, signal: this.aborter.signal };
    request(path, options).then(
      (response) => frame("↓", String(response.status)),
      () => { this.acked = before; render(); },
    );
  }

  /** A look at the order as it stands, whatever the link claims. */
  async snapshot() {
    if (!this.ticket) return;
    try {
      const path = `/v1/payments/${encodeURIComponent(this.orderId)}`;
      const payment = await readJson(await request(path, { ticket: this.ticket, signal: this.aborter.signal }));
      if (this.ended) return;
      this.received(payment, "snapshot");
      this.acknowledge();
    } catch (error) {
      if (error instanceof Refused && error.status === 401) this.link?.failed(error);
    }
  }

  inFront() {
    render();
    this.snapshot();
    if (this.link && !this.link.stopped) this.link.check();
    else if (this.state !== "connecting") this.reconnect();
  }

  pay() {
    this.startConfirming();
    render();
  }

  startConfirming() {
    if (this.paidAt) return;
    this.paidAt = Date.now();
    remember("paid_at", String(this.paidAt));
  }

  get late() { return Boolean(this.paidAt) && Date.now() - this.paidAt >= LATE_MS; }

  roundTrip(ms) {
    this.roundTripMs = ms;
    render();
  }

  become(state) {
    this.state = state;
    render();
  }

  /** Stops every connection and timer; `connect` starts anew. */
  pause() {
    this.turn++;
    this.link?.stop();
    this.timers.clearAll();
    this.state = "retrying";
  }

  end() {
    this.ended = true;
    this.pause();
    this.aborter.abort();
  }
}

// --- Events and frames, for developers ----------------------------------------------------------------------------------

/** Newest first: what was published here (`sent`) and what came (`came`). */
let events = [];
let wait;

function note(entry) {
  events = [entry, ...events].slice(0, EVENTS_MAX);
  renderEvents();
  return entry;
}

async function publish(status, clickedAt) {
  const current = wait;
  showTrouble(null);
  const clash = rank(status) < rank(current.payment?.status) || (rank(status) > 0 && rank(status) === rank(current.payment?.status));
  const sent = note({ kind: "sent", status, clickedAt, at: Date.now(), open: !clash, more: "sending" });
  current.startConfirming();
  render();
  try {
    const body = { order_id: current.orderId, status, amount: AMOUNT };
    const answer = await readJson(await request("/demo/api/payments", { method: "POST", body, signal: current.aborter.signal }));
    sent.eventId = answer.event_id;
    sent.confirmedMs = performance.now() - clickedAt;
    if (sent.more === "sending") sent.more = clash ? "unchanged" : "confirmed";
  } catch (error) {
    if (current.ended) return;
    sent.open = false;
    sent.more = "refused";
    sent.why = error instanceof Refused ? `${error.message} (${error.code})` : null;
    showTrouble(sent);
  }
  renderEvents();
}

/** Finds the click that a new version answers: the one as many clicks on as versions came, if its status fits. */
function came(of, payment, via, at, skipped) {
  if (of !== wait) return;
  const open = events.filter((event) => event.kind === "sent" && event.open).reverse();
  const match = open[skipped]?.status === payment.status ? open[skipped] : open.find((sent) => sent.status === payment.status);
  if (match) {
    for (const sent of open.slice(0, open.indexOf(match))) Object.assign(sent, { open: false, more: "replaced" });
    match.open = false;
    if (match.more === "sending") match.more = "confirmed";
  }
  const ms = match && at - match.clickedAt;
  of.took = match ? { ms, via } : undefined;
  note({ kind: "came", status: payment.status, version: payment.version, via, ms, at: Date.now() });
}

function frame(direction, text) {
  const list = $("frames");
  const item = document.createElement("li");
  const code = document.createElement("code");
  const time = document.createElement("time");
  time.textContent = new Date().toISOString().slice(11, 23);
  code.append(time, ` ${text.replace(/("ticket":")[^"]*/g, "$1…")}`);
  item.append(direction, code);
  list.prepend(item);
  if (list.children.length > FRAMES_MAX) list.lastElementChild.remove();
}

// --- What is seen -----------------------------------------------------------------------------------------------------

/** Sets a text only if it differs, so that a live region speaks only when something has changed. */
function write(id, text) {
  const element = $(id);
  if (element.textContent !== text) element.textContent = text;
}

function phaseOf({ payment, paidAt, late }) {
  if (payment?.final) return payment.status;
  if (payment?.status === "requires_action") return "action";
  if (late) return "late";
  if (payment?.status === "authorized") return "held";
  return paidAt ? "confirming" : "ready";
}

function explain(phase, payment) {
  if (payment?.final && payment.status !== "succeeded" && payment.reason?.message) return payment.reason.message;
  return say(phase === "confirming" && payment?.status === "processing" ? "processing_text" : `${phase}_text`);
}

function render() {
  if (!wait) return;
  const { payment, state, took } = wait;
  const phase = phaseOf(wait);
  const app = $("app");
  app.dataset.phase = phase;
  app.dataset.link = state;
  app.dataset.version = payment?.version ?? 0;
  write("headline", say(phase));
  write("explanation", explain(phase, payment));
  const amount = sayMoney(payment?.amount ?? AMOUNT);
  write("amount", amount);
  write("merchant", wait.merchantId ?? "…");
  write("order", wait.orderId);
  const refund = payment?.refund;
  $("refund").hidden = !refund;
  if (refund) write("refund", say(refund.status === "partial" && !refund.amount ? "refund_partial_plain" : `refund_${refund.status}`, { amount: refund.amount && sayMoney(refund.amount) }));
  $("took").hidden = !took;
  if (took) write("took", say("took", { ms: sayMs(took.ms), via: sayVia(took.via) }));
  const primary = $("primary");
  const focused = document.activeElement === primary;
  primary.hidden = ["confirming", "held", "action"].includes(phase);
  if (focused && primary.hidden) $("headline").focus({ preventScroll: true });
  write("primary", phase === "ready" ? say("pay", { amount }) : say(phase === "late" ? "check_again" : "new_order"));
  write("link-text", say(state === "live" && payment?.final ? "live_final" : state));
  $("new-order").hidden = Boolean(payment?.final);
  write("transport-hint", say(`${wait.transport}_hint`));
  write("fact-link", say(`link_${state}`));
  write("fact-version", String(payment?.version ?? 0));
  write("fact-reconnects", String(wait.reconnects));
  write("fact-ping", wait.roundTripMs === undefined ? "–" : sayMs(wait.roundTripMs));
  write("fact-acked", wait.acked ? say("version", { version: wait.acked }) : "–");
  write("fact-ticket", wait.ticket && Number.isFinite(wait.ticketUntil) ? sayTime(wait.ticketUntil) : "–");
  // The deadline is a point in time; the timer only looks again then.
  if (phase === "confirming" || phase === "held") wait.timers.set("late", Math.max(0, wait.paidAt + LATE_MS - Date.now()) + 20, render);
  else wait.timers.clear("late");
}

function renderEvents() {
  const part = (name, text) => {
    const span = document.createElement("span");
    span.className = name;
    span.textContent = text;
    return span;
  };
  $("events").replaceChildren(...events.map((event) => {
    const item = document.createElement("li");
    item.dataset.kind = event.kind;
    item.dataset.status = event.status;
    if (event.kind === "came") {
      item.dataset.via = event.via;
      item.append(part("what", sayStatus(event.status)), part("ms", event.ms === undefined ? "" : sayMs(event.ms)));
      item.append(part("more", `${say("version", { version: event.version })} · ${sayVia(event.via)} · ${sayTime(event.at)}`));
    } else {
      const confirmed = event.eventId && say("confirmed_in", { ms: sayMs(event.confirmedMs), id: event.eventId });
      const outcome = event.more === "confirmed" ? "" : say(event.more, { why: event.why ?? say("no_answer") });
      item.append(part("what", say("published", { status: sayStatus(event.status) })), part("ms", ""));
      item.append(part("more", [confirmed, outcome].filter(Boolean).join("; ") || say("sending")));
    }
    return item;
  }));
  $("events-empty").hidden = events.length > 0;
}

function showTrouble(sent) {
  $("trouble").hidden = !sent;
  if (sent) write("trouble", say("not_published", { why: sent.why ?? say("no_answer") }));
}

function speak(chosen) {
  language = chosen;
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  document.title = say("title");
  for (const element of document.querySelectorAll("[data-i18n]")) element.textContent = say(element.dataset.i18n);
  for (const element of document.querySelectorAll("[data-i18n-label]")) element.setAttribute("aria-label", say(element.dataset.i18nLabel));
  const button = $("language");
  button.textContent = say("language");
  button.lang = say("language_lang");
  button.setAttribute("aria-label", say("language_label"));
  showTrouble(null);
  render();
  renderEvents();
}

// --- The page ---------------------------------------------------------------------------------------------------------

const chosenTransport = () => document.querySelector("input[name=transport]:checked").value;

function startOrder(orderId, paidAt) {
  wait?.end();
  events = [];
  $("frames").replaceChildren();
  showTrouble(null);
  remember("order", orderId);
  remember("paid_at", paidAt ? String(paidAt) : "");
  wait = new Wait(orderId, chosenTransport(), paidAt);
  renderEvents();
  wait.connect();
}

function newOrder() {
  startOrder(newOrderId(), undefined);
  $("headline").focus({ preventScroll: true });
}

function listen() {
  $("primary").addEventListener("click", () => {
    const phase = phaseOf(wait);
    if (phase === "ready") wait.pay();
    else if (phase === "late") wait.inFront();
    else newOrder();
  });
  $("new-order").addEventListener("click", newOrder);
  $("language").addEventListener("click", () => {
    speak(language === "zh" ? "en" : "zh");
    remember("language", language);
  });
  for (const button of document.querySelectorAll("[data-publish]")) {
    // timeStamp is when the finger came up, on the clock of performance.now().
    button.addEventListener("click", ({ timeStamp }) => publish(button.dataset.publish, timeStamp));
  }
  for (const input of document.querySelectorAll("input[name=transport]")) {
    input.addEventListener("change", () => {
      remember("transport", input.value);
      wait.use(input.value);
    });
  }
  document.addEventListener("visibilitychange", () => { if (!document.hidden) wait.inFront(); });
  addEventListener("pagehide", () => wait.pause());
  addEventListener("pageshow", ({ persisted }) => { if (persisted) wait.reconnect(); });
  addEventListener("offline", () => wait.lost("offline", {}));
  addEventListener("online", () => { if (wait.state !== "live") wait.reconnect(); });
}

function begin() {
  const transport = parameters.get("transport") ?? remembered("transport");
  const input = [...document.querySelectorAll("input[name=transport]")].find(({ value }) => value === transport);
  if (input) input.checked = true;
  speak(language);
  listen();
  // A reload goes on with its order: the state is the service's, not the page's.
  const orderId = remembered("order");
  if (/^D[\w.-]{1,63}$/.test(orderId ?? "")) startOrder(orderId, Number(remembered("paid_at")) || undefined);
  else startOrder(newOrderId(), undefined);
}

begin();
