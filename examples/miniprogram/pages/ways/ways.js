const { watchPayment } = require('payment-notifier-miniprogram');
const { openChannel } = require('payment-notifier-miniprogram/channel');
const { service } = require('../../config');
const shop = require('../../services/shop');

const POLL_INTERVAL_MS = 2000;
const FRAMES_SHOWN_MAX = 8;

Page({
  data: {
    orderId: '',
    polling: { on: false, requests: 0, wasted: 0, status: '', ms: 0 },
    socket: { state: 'closed', sent: 0, frames: [], status: '', ms: 0 },
    sdk: { on: false, told: 0, transport: '', status: '', ms: 0 },
  },

  onLoad() {
    this.order = shop.placeOrder();
    this.setData({ orderId: this.order.orderId });
  },

  onUnload() {
    this.gone = true;
    this.stopPolling();
    this.disconnect();
    this.stopSdk();
  },

  // Each way shows how long after this tap it knew.
  publish() {
    this.publishedAt = Date.now();
    shop.settle(this.order, 'succeeded');
  },

  msSincePublish() {
    return this.publishedAt ? Date.now() - this.publishedAt : 0;
  },

  // 1. A timer and a request. This is all that many pages have: it asks when nothing has changed, learns late, knows nothing
  // of the background or of a lost network, and never ends if clearInterval is forgotten.

  togglePolling() {
    if (this.timer) return this.stopPolling();
    this.setData({ 'polling.on': true });
    this.ticket = shop.ticketFor(this.order.orderId);
    this.timer = setInterval(() => this.poll(), POLL_INTERVAL_MS);
  },

  poll() {
    this.ticket.then((ticket) => {
      if (!this.timer) return;
      this.setData({ 'polling.requests': this.data.polling.requests + 1 });
      wx.request({
        url: `${service}/v1/payments/${encodeURIComponent(this.order.orderId)}`,
        header: { authorization: `Bearer ${ticket}` },
        success: ({ data: payment }) => {
          if (!this.timer) return;
          if (payment.version === (this.polledVersion || 0)) {
            this.setData({ 'polling.wasted': this.data.polling.wasted + 1 });
            return;
          }
          this.polledVersion = payment.version;
          this.setData({ 'polling.status': payment.status, 'polling.ms': this.msSincePublish() });
          if (payment.final) this.stopPolling();
        },
      });
    });
  },

  stopPolling() {
    clearInterval(this.timer);
    this.timer = null;
    if (!this.gone) this.setData({ 'polling.on': false });
  },

  // 2. A socket by hand: pushed at once, but what to do about loss, background, tickets and missed events is left to the page.

  toggleSocket() {
    if (this.channel) return this.disconnect();
    this.channel = openChannel({
      url: service,
      // The socket is the one that watchPayment uses: without it, the frames of other orders come too.
      orderId: this.order.orderId,
      onState: (state) => this.gone || this.setData({ 'socket.state': state }),
      onFrame: (frame) => this.received(frame),
    });
  },

  send() {
    if (!this.channel) return;
    const { channel } = this;
    // Frames that are sent before the socket is open are kept and sent once it is.
    shop.ticketFor(this.order.orderId).then((ticket) => {
      channel.send({ type: 'subscribe', ticket });
      if (!this.gone) this.setData({ 'socket.sent': this.data.socket.sent + 1 });
    });
  },

  received(frame) {
    const payment = frame.payment;
    const line = `${frame.type}${payment ? ` v${payment.version} ${payment.status}` : frame.code ? ` ${frame.code}` : ''}`;
    this.setData({ 'socket.frames': [line].concat(this.data.socket.frames).slice(0, FRAMES_SHOWN_MAX) });
    if (payment) this.setData({ 'socket.status': payment.status, 'socket.ms': this.msSincePublish() });
  },

  disconnect() {
    if (this.channel) this.channel.close();
    this.channel = null;
  },

  // 3. One call.

  toggleSdk() {
    if (this.watch) return this.stopSdk();
    this.setData({ 'sdk.on': true });
    const { orderId } = this.order;
    const watch = watchPayment({
      url: service,
      orderId,
      ticket: () => shop.ticketFor(orderId),
      onChange: ({ status }) => this.setData({ 'sdk.told': this.data.sdk.told + 1, 'sdk.status': status, 'sdk.ms': this.msSincePublish() }),
      onConnection: ({ transport }) => this.setData({ 'sdk.transport': transport || '' }),
    });
    this.watch = watch;
    watch.result.then(() => {
      if (this.watch === watch) this.stopSdk();
    });
  },

  stopSdk() {
    if (this.watch) this.watch.stop();
    this.watch = null;
    if (!this.gone) this.setData({ 'sdk.on': false });
  },
});
