const { watchPayment } = require('payment-notifier-miniprogram');
const { service } = require('../../config');
const shop = require('../../services/shop');

// What the page says of each state. A payment that is late is not "failed": the money may have moved.
const FINAL_STATES = { succeeded: 'succeeded', failed: 'failed', canceled: 'closed', expired: 'closed' };

Page({
  data: {
    orderId: '',
    amount: '',
    // ready, confirming, succeeded, failed, closed, later
    state: 'ready',
    reason: '',
  },

  onLoad() {
    this.newOrder();
  },

  // It may come twice, and comes with redirectTo and navigateBack. onHide is no reason to stop: it comes with the payment sheet.
  onUnload() {
    this.stopWaiting();
  },

  newOrder() {
    this.stopWaiting();
    this.version = undefined;
    this.order = shop.placeOrder();
    this.setData({
      orderId: this.order.orderId,
      amount: (this.order.amount.value / 100).toFixed(2),
      state: 'ready',
      reason: '',
    });
  },

  // Also the button "pay again" after a failure: the same order, paid once more.
  pay() {
    if (this.data.state !== 'ready' && this.data.state !== 'failed') return;
    this.confirm();
    shop.requestPayment(this.order).catch(() => {
      // The sheet was closed, or the call failed. The watch goes on: some of those who close it have paid.
      if (this.data.state === 'confirming') this.setData({ state: 'ready' });
    });
  },

  // Also the button "check again": it asks, it does not pay.
  confirm() {
    this.stopWaiting();
    this.setData({ state: 'confirming' });
    const { orderId } = this.order;
    const watch = watchPayment({
      url: service,
      orderId,
      ticket: () => shop.ticketFor(orderId),
      // What was shown of an earlier attempt is not the result of this one.
      after: this.version,
      onChange: (payment) => this.show(payment),
      // The watch goes on: a result that comes late is shown all the same.
      onLate: () => this.setData({ state: 'later' }),
      onError: ({ error }) => console.warn(error.message),
    });
    this.watch = watch;
    watch.result.then((outcome) => {
      if (this.watch !== watch) return;
      // onChange never goes backward; the result may, where the service has a new store.
      if (outcome.final) this.show(outcome);
      if (outcome.refused) this.setData({ state: 'later' });
    });
  },

  show(payment) {
    this.version = payment.version;
    if (!payment.final) return;
    this.setData({ state: FINAL_STATES[payment.status], reason: (payment.reason && payment.reason.message) || '' });
  },

  stopWaiting() {
    if (this.watch) this.watch.stop();
    this.watch = null;
  },

  settleSucceeded() {
    shop.settle(this.order, 'succeeded');
  },

  settleFailed() {
    shop.settle(this.order, 'failed');
  },

  openWays() {
    wx.navigateTo({ url: '/pages/ways/ways' });
  },

  openDeveloper() {
    wx.navigateTo({ url: `/pages/developer/developer?orderId=${this.data.orderId}` });
  },
});
