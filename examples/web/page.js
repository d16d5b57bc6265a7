// The cashier, the three ways and the developer panel. What the page needs of payment-notifier is in `confirm`.
const { watchPayment } = window.PaymentNotifier;
const { service } = window.CONFIG;

const WORDS = {
  en: {
    cashier: 'Cashier', order: 'Order', provider: 'In place of the provider:', succeed: 'Succeed', fail: 'Fail',
    developer: 'For developers', transport: 'Transport', reconnects: 'Reconnects', connected_in: 'Connected in',
    ways: 'Three ways to wait', ways_hint: 'Start all three, then publish: who knows first, and at what cost?', publish: 'Publish “succeeded”',
    way_polling: 'Timer and requests', way_socket: 'WebSocket by hand', requests: 'Requests', wasted: 'In vain', known_after: 'Knew after',
    socket: 'Socket', last_frame: 'Last frame', told: 'Told', start: 'Start', stop: 'Stop', connect: 'Connect', disconnect: 'Disconnect',
    send: 'Send subscribe',
    ready: 'To pay', ready_text: '', ready_button: 'Pay',
    confirming: 'Confirming…', confirming_text: 'This takes a few seconds. Please do not pay again.',
    succeeded: 'Paid', succeeded_text: '', succeeded_button: 'New order',
    failed: 'Not paid', failed_text: 'The payment provider says that this payment failed.', failed_button: 'Pay again',
    closed: 'Order closed', closed_text: '', closed_button: 'New order',
    later: 'Still being confirmed', later_text: 'Please check the order later. Do not pay again.', later_button: 'Check again',
    trouble: 'The service or the shop cannot be reached:',
  },
  zh: {
    cashier: '收银台', order: '订单号', provider: '代替支付渠道：', succeed: '支付成功', fail: '支付失败',
    developer: '开发者信息', transport: '通道', reconnects: '重连次数', connected_in: '连接用时',
    ways: '三种等待方式', ways_hint: '先全部打开，再发布结果：谁先知道，代价多大？', publish: '发布“支付成功”',
    way_polling: '定时轮询', way_socket: '手写 WebSocket', requests: '请求次数', wasted: '其中白问', known_after: '发布后',
    socket: '连接', last_frame: '最近一帧', told: '通知次数', start: '开始', stop: '停止', connect: '连接', disconnect: '断开', send: '发送订阅',
    ready: '待支付', ready_text: '', ready_button: '立即支付',
    confirming: '支付结果确认中', confirming_text: '通常只需几秒，请勿重复支付。',
    succeeded: '支付成功', succeeded_text: '', succeeded_button: '再下一单',
    failed: '支付未成功', failed_text: '支付渠道告知本次支付失败。', failed_button: '重新支付',
    closed: '订单已关闭', closed_text: '', closed_button: '重新下单',
    later: '支付结果仍在确认', later_text: '请稍后在订单中查看结果，请勿重复支付。', later_button: '再查一次',
    trouble: '无法访问服务或商户后端：',
  },
};
const language = /^zh/i.test(new URLSearchParams(location.search).get('lang') || navigator.language) ? 'zh' : 'en';
const words = WORDS[language];
const $ = (id) => document.getElementById(id);
const set = (id, text) => { $(id).textContent = text; };

// Stands for the merchant's own back end: the service's demo API, which is for development only.
async function shop(path, body) {
  const response = await fetch(`${service}/demo/api/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  }).catch(() => {
    // A browser does not tell a page which of the two it is.
    throw new Error(`${service} does not answer, or http.allowed_origins lacks ${location.origin}`);
  });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}
const newOrderId = () => `W${Date.now()}-${Math.random().toString(36).slice(2, 8).toUpperCase()}`;
const ticketFor = (orderId) => shop('tickets', { order_id: orderId }).then(({ ticket }) => ticket);
const publish = (orderId, status) => shop('payments', { order_id: orderId, status });

// The cashier.

// 75 s, or ?late_s= for those who do not want to wait.
const LATE_AFTER_MS = 1000 * (Number(new URLSearchParams(location.search).get('late_s')) || 75);
const FINAL_STATES = { succeeded: 'succeeded', failed: 'failed', canceled: 'closed', expired: 'closed' };
let orderId;
/** The version that the page has shown, so that a second payment does not end with the state of the first. */
let version;
let watch;
let startedAt;

function show(state, explanation) {
  $('state').dataset.state = state;
  set('headline', words[state]);
  set('explanation', explanation || words[`${state}_text`]);
  const button = words[`${state}_button`];
  $('primary').hidden = !button;
  set('primary', button || '');
}

/** What went wrong, for the developer, until it works. A page for customers would log it. */
function trouble(error) {
  $('trouble').hidden = !error;
  set('trouble', error ? `${words.trouble} ${error.message}` : '');
}

function note(text) {
  const line = document.createElement('li');
  line.textContent = `${String(Date.now() - startedAt).padStart(6)} ms  ${text}`;
  $('lines').prepend(line);
  while ($('lines').children.length > 8) $('lines').lastChild.remove();
}

function newOrder() {
  if (watch) watch.stop();
  watch = undefined;
  orderId = newOrderId();
  version = undefined;
  set('order', orderId);
  trouble();
  show('ready');
}

function confirm() {
  if (watch) watch.stop();
  show('confirming');
  startedAt = Date.now();
  let connected = false;
  watch = watchPayment({
    url: service,
    orderId,
    ticket: () => ticketFor(orderId),
    after: version,
    onChange(payment) {
      version = payment.version;
      trouble();
      note(`v${payment.version} ${payment.status}`);
      if (payment.final) show(FINAL_STATES[payment.status], payment.reason && payment.reason.message);
    },
    onConnection({ transport, reconnects, ms }) {
      set('transport', transport || '–');
      set('reconnects', reconnects);
      set('ms', transport ? `${ms} ms` : '–');
      note(transport || 'no connection');
      connected = !!transport;
      if (connected) trouble();
    },
    // Not "failed": the money may have moved. The watch goes on.
    onLate: () => show('later'),
    lateAfterMs: LATE_AFTER_MS,
    onError({ error }) {
      if (!connected) trouble(error);
    },
  });
  watch.result.then((outcome) => {
    if (outcome.refused) show('later');
  });
}

$('primary').onclick = () => {
  const { state } = $('state').dataset;
  if (state === 'ready' || state === 'failed') {
    confirm();
    // Where a real page opens the provider's form. After a failure it is the same order, paid once more.
    if (state === 'ready') publish(orderId, 'processing').catch(trouble);
  } else if (state === 'later') confirm();
  else newOrder();
};
$('succeed').onclick = () => publish(orderId, 'succeeded').catch(trouble);
$('fail').onclick = () => publish(orderId, 'failed').catch(trouble);

// The three ways, on an order of their own.

const compared = newOrderId();
let publishedAt = 0;
const knownAfter = () => (publishedAt ? `${Date.now() - publishedAt} ms` : '–');
const count = (id) => set(id, Number($(id).textContent) + 1);

$('publish').onclick = () => {
  publishedAt = Date.now();
  publish(compared, 'succeeded').catch(trouble);
};

let timer;
let polledVersion = 0;
$('polling-toggle').onclick = async () => {
  if (timer) return stopPolling();
  set('polling-toggle', words.stop);
  const ticket = ticketFor(compared);
  ticket.catch(() => {});
  timer = setInterval(async () => {
    count('polling-requests');
    try {
      const response = await fetch(`${service}/v1/payments/${encodeURIComponent(compared)}`, { headers: { authorization: `Bearer ${await ticket}` } });
      const payment = await response.json();
      if (payment.version === polledVersion) return count('polling-wasted');
      polledVersion = payment.version;
      set('polling-known', knownAfter());
      if (payment.final) stopPolling();
    } catch (error) {
      trouble(error);
      stopPolling();
    }
  }, 2000);
};
function stopPolling() {
  clearInterval(timer);
  timer = undefined;
  set('polling-toggle', words.start);
}

// By hand it is pushed at once, but loss, tickets that run out and missed events are left to the page.
let socket;
$('socket-toggle').onclick = () => {
  if (socket) return socket.close();
  socket = new WebSocket(`${service.replace(/^http/, 'ws')}/v1/ws`);
  const state = (name) => {
    set('socket-state', name);
    set('socket-toggle', name === 'closed' ? words.connect : words.disconnect);
  };
  state('connecting');
  socket.onopen = () => state('open');
  socket.onclose = () => {
    socket = undefined;
    state('closed');
  };
  socket.onmessage = ({ data }) => {
    const frame = JSON.parse(data);
    // A ticket may be for several orders, and so may what comes.
    if (frame.payment && frame.payment.order_id !== compared) return;
    set('socket-frame', frame.payment ? `${frame.type} ${frame.payment.status}` : frame.type);
    if (frame.payment) set('socket-known', knownAfter());
  };
};
$('socket-send').onclick = async () => {
  try {
    const ticket = await ticketFor(compared);
    if (socket) socket.send(JSON.stringify({ type: 'subscribe', ticket }));
  } catch (error) {
    trouble(error);
  }
};

let compare;
$('sdk-toggle').onclick = () => {
  if (compare) return stopCompare();
  set('sdk-toggle', words.stop);
  compare = watchPayment({
    url: service,
    orderId: compared,
    ticket: () => ticketFor(compared),
    onConnection: ({ transport }) => set('sdk-transport', transport || '–'),
    onError: ({ error }) => trouble(error),
    onChange() {
      count('sdk-told');
      set('sdk-known', knownAfter());
    },
  });
  compare.result.then(stopCompare);
};
function stopCompare() {
  if (compare) compare.stop();
  compare = undefined;
  set('sdk-toggle', words.start);
}

document.documentElement.lang = language;
document.title = words.cashier;
for (const element of document.querySelectorAll('[data-say]')) element.textContent = words[element.dataset.say];
newOrder();
