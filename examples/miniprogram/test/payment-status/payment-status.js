const { paymentComponent } = require('payment-notifier-miniprogram/page');
const config = require('../../config');
const shop = require('../../services/shop');

Component(paymentComponent({
  properties: { orderId: String },
  lifetimes: {
    attached() {
      this.watchPayment({ url: config.service, orderId: this.data.orderId, ticket: shop.ticketFor });
    },
    detached() {
      this.triggerEvent('gone');
    },
  },
}));
