// Waits for the payment of one order without the SDK, in a WeChat mini-program. The numbers are those of the rules in
// docs/PROTOCOL.md, "What a client does". The SDK does more: one socket for several orders, other platforms, named mistakes.

const TICK_MS = 1000;
const LATE_MS = 75000;
const CONNECT_MS = 8000;
const PING_AFTER_MS = 20000;
const SILENCE_MS = 30000;
const SOCKET_FIRST_MS = 3000;
const ANSWER_MS = 8000;
const LAST_LOOK_MS = 5000;
const ACK_MS = 2000;
const WAIT_S = 25;
const TICKET_CODES = /^(invalid_ticket|ticket_expired|forbidden)$/;

const backoff = (failures) => Math.min(15000, 500 * 2 ** failures) * (0.5 + Math.random() / 2);

/**
 * `ticket`: a function that gives a ticket, or a promise of one that settles. `onChange`: each newer state. `onLate`: once, after
 * 75 s. `result` is the final payment, or { final: false, payment } with `timedOut`, `refused` or `stopped`; `stop` is for onUnload.
 */
function waitForPayment({ url, orderId, ticket, giveUpAfterMs = Infinity, onChange, onLate, onConnection }) {
  const address = `${url}/v1/payments/${encodeURIComponent(orderId)}`;
  const endAt = Date.now() + giveUpAfterMs;
  let lateAt = Date.now() + LATE_MS;
  let phase = 'waiting'; // waiting, acknowledging, over
  let timer;
  let shown = null;
  let version = 0;
  let acknowledged = 0;
  let lastLookUntil = 0;
  let resolve;
  const result = new Promise((done) => (resolve = done));

  // Tickets: one at a time, fetched anew once it was refused.
  let current = null;
  let refusals = 0;

  function getTicket() {
    if (!current) {
      const mine = (current = new Promise((done) => done(ticket())));
      mine.catch(() => {
        if (current === mine) current = null;
      });
    }
    return current;
  }

  function refuse(used, code) {
    // The socket and a request may be refused for the same ticket.
    if (used !== current || phase !== 'waiting') return;
    current = null;
    if (++refusals >= 3) end({ final: false, refused: code, payment: shown });
  }

  // Requests: one look at once, and long polls while there is no socket (1).
  let asking = null;
  let askAt = Infinity;
  let askFailures = 0;
  let polled = false;

  function ask(waitS) {
    stopAsking();
    const mine = (asking = { until: Date.now() + waitS * 1000 + ANSWER_MS, used: getTicket() });
    const answered = ({ statusCode, data }) => {
      if (asking !== mine) return;
      asking = null;
      const understood = statusCode === 200 && data && data.order_id === orderId;
      if (understood) {
        refusals = askFailures = 0;
        polled = waitS > 0;
        if (polled) report('long_poll');
        askAt = Date.now() + (polled ? 0 : SOCKET_FIRST_MS);
        take(data);
        if (lastLookUntil && phase === 'waiting') end({ final: false, timedOut: true, payment: shown });
      } else {
        if (polled) report(null);
        askAt = Date.now() + backoff(askFailures++);
        if (data && TICKET_CODES.test(data.code)) refuse(mine.used, data.code);
      }
      if (phase === 'waiting') tick();
    };
    mine.fail = () => answered({});
    mine.used.then((token) => {
      if (asking !== mine) return;
      mine.task = wx.request({
        url: address + (waitS ? `?after=${version}&wait=${waitS}` : ''),
        header: { authorization: `Bearer ${token}` },
        success: answered,
        fail: mine.fail,
      });
    }, mine.fail);
  }

  function stopAsking() {
    const { task } = asking || {};
    asking = null;
    if (task) task.abort();
  }

  // The socket.
  let socket = null;
  let subscribed = false;
  let heardAt = 0;
  let pingedAt = 0;
  let connectAt = 0;
  let connectFailures = 0;

  function connect() {
    heardAt = pingedAt = Date.now();
    connectAt = Infinity;
    const mine = (socket = { opened: false });
    const live = () => socket === mine;
    const closed = () => live() && lost();
    const task = wx.connectSocket({ url: `${url.replace(/^http/, 'ws')}/v1/ws`, fail: closed });
    if (!task) return closed();
    mine.task = task;
    task.onOpen(() => {
      // A close before the open does nothing.
      if (!live()) return task.close({});
      mine.opened = true;
      subscribe();
    });
    task.onMessage(({ data }) => live() && hear(JSON.parse(data)));
    task.onClose(closed);
    task.onError(closed);
  }

  function subscribe() {
    const mine = socket;
    mine.used = getTicket();
    mine.used.then((token) => socket === mine && send({ type: 'subscribe', ticket: token }), () => socket === mine && lost());
  }

  function send(frame, done = () => {}) {
    const mine = socket;
    const failed = () => {
      if (socket === mine && phase === 'waiting') lost();
      done(false);
    };
    mine.task.send({ data: JSON.stringify(frame), success: () => done(true), fail: failed });
  }

  function hear(frame) {
    heardAt = Date.now();
    if (frame.type === 'subscribed') {
      subscribed = true;
      refusals = connectFailures = askFailures = 0;
      stopAsking();
      askAt = Infinity;
      report('socket');
    }
    if (frame.type === 'error' && TICKET_CODES.test(frame.code)) {
      left();
      refuse(socket.used, frame.code);
      if (phase === 'waiting') subscribe();
    }
    if (frame.type === 'reconnect') lost(frame.after_ms);
    if (frame.payment && frame.payment.order_id === orderId) take(frame.payment);
  }

  function lost(inMs = backoff(connectFailures++)) {
    closeSocket();
    connectAt = Date.now() + inMs;
  }

  function left() {
    if (!subscribed) return;
    subscribed = false;
    reconnects++;
    report(null);
    askAt = Date.now() + SOCKET_FIRST_MS;
  }

  function closeSocket() {
    const old = socket;
    socket = null;
    left();
    if (old && old.opened) old.task.close({});
  }

  // What the page is told.
  let reconnects = 0;
  let transport = null;

  function report(next) {
    if (next === transport || phase !== 'waiting') return;
    transport = next;
    if (onConnection) onConnection({ transport, reconnects });
  }

  function take(payment) {
    if (phase !== 'waiting') return;
    version = payment.version;
    if (version > (shown ? shown.version : 0)) {
      shown = payment; // (2)
      if (onChange) onChange(payment);
    }
    if (phase !== 'waiting') return;
    if (payment.final) return finish(payment); // (8)
    // (6) What a request has brought is acknowledged once the socket is subscribed.
    if (subscribed && shown && shown.version === version && acknowledged < version) send({ type: 'ack', order_id: orderId, version: (acknowledged = version) });
  }

  /** Acknowledges the final state before the page goes: by the socket, else by a request. */
  function finish(payment) {
    phase = 'acknowledging';
    clearTimeout(timer);
    stopAsking();
    const done = () => end(payment);
    timer = setTimeout(done, ACK_MS);
    const post = () =>
      getTicket().then((token) => {
        if (phase !== 'acknowledging') return;
        wx.request({ url: `${address}/ack`, method: 'POST', header: { authorization: `Bearer ${token}` }, data: { version }, success: done, fail: done });
      }, done);
    if (subscribed) send({ type: 'ack', order_id: orderId, version }, (sent) => (sent ? done() : post()));
    else post();
  }

  function end(outcome) {
    if (phase === 'over') return;
    phase = 'over';
    clearTimeout(timer);
    stopAsking();
    closeSocket();
    resolve(outcome);
  }

  // (3) One timer that looks at the clock: timers sleep in the background, the clock does not.
  function tick() {
    clearTimeout(timer);
    timer = setTimeout(tick, TICK_MS);
    const now = Date.now();
    if (now >= lateAt) {
      lateAt = Infinity;
      if (onLate) onLate(); // (7)
    }
    if (lastLookUntil && now >= lastLookUntil) return end({ final: false, timedOut: true, payment: shown });
    if (now >= endAt && !lastLookUntil) {
      lastLookUntil = now + LAST_LOOK_MS;
      return ask(0);
    }
    if (asking && now >= asking.until) asking.fail();
    else if (!asking && now >= askAt) ask(askFailures > 2 || lastLookUntil ? 0 : polled ? WAIT_S : 1);
    const { opened } = socket || {};
    if (socket && now - heardAt >= (opened ? SILENCE_MS : CONNECT_MS)) lost(); // (5)
    else if (opened && now - pingedAt >= PING_AFTER_MS) send({ type: 'ping', at: (pingedAt = now) });
    if (now >= connectAt) connect(); // (4)
  }

  /** Back in front, or on another network: a fresh look and another socket, whatever the old one claims (3). */
  function renew() {
    if (phase !== 'waiting') return;
    lastLookUntil = 0;
    connectFailures = 0;
    closeSocket();
    connectAt = 0;
    ask(0);
    tick();
  }

  // Older versions cannot take listeners back; `renew` does nothing once it is over.
  wx.onAppShow(renew);
  wx.onNetworkStatusChange(({ isConnected }) => isConnected && renew());
  renew();
  return { result, stop: () => end({ final: false, stopped: true, payment: shown }) };
}

module.exports = { waitForPayment };
