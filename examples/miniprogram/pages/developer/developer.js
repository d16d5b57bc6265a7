const { watchPayment } = require('payment-notifier-miniprogram');
const { service } = require('../../config');
const shop = require('../../services/shop');

const LINES_MAX = 20;

Page({
  data: {
    orderId: '',
    waiting: false,
    transport: '',
    reconnects: 0,
    ms: 0,
    lines: [],
  },

  onLoad(query) {
    this.setData({ orderId: (query && query.orderId) || shop.placeOrder().orderId });
    this.start();
  },

  onUnload() {
    this.stop();
  },

  toggle() {
    if (this.watch) this.stop();
    else this.start();
  },

  start() {
    const { orderId } = this.data;
    this.startedAt = Date.now();
    this.setData({ waiting: true, lines: [] });
    const watch = watchPayment({
      url: service,
      orderId,
      ticket: () => shop.ticketFor(orderId),
      onConnection: ({ transport, reconnects, ms }) => {
        this.setData({ transport: transport || '', reconnects, ms });
        this.note(transport ? `${transport}，用时 ${ms} ms` : '已断开');
      },
      onChange: ({ version, status }) => this.note(`v${version} ${status}`),
      onLate: () => this.note('超时，继续等待'),
      onError: ({ where, error, attempt }) => this.note(`${where} 第 ${attempt} 次：${error.code}`),
    });
    this.watch = watch;
    watch.result.then((outcome) => {
      if (this.watch !== watch) return;
      this.watch = null;
      this.note(outcome.final ? '已有最终结果' : `已结束：${outcome.refused || '停止'}`);
      this.setData({ waiting: false });
    });
  },

  stop() {
    const { watch } = this;
    if (!watch) return;
    this.watch = null;
    watch.stop();
    this.setData({ waiting: false });
  },

  note(text) {
    const line = { at: Date.now() - this.startedAt, text };
    this.setData({ lines: [line].concat(this.data.lines).slice(0, LINES_MAX) });
  },
});
