// Stands for the merchant's own back end. Here it is the service's demo API (demo.enabled = true), which mints tickets and
// publishes payments for anybody; in a real shop the back end does both, for its own users only.
const { service } = require('../config');

function call(method, path, data) {
  return new Promise((resolve, reject) => {
    wx.request({
      url: service + path,
      method,
      data,
      success: ({ statusCode, data: body }) => (statusCode < 300 ? resolve(body) : reject(new Error(`${path}: ${statusCode}`))),
      fail: ({ errMsg }) => reject(new Error(errMsg)),
    });
  });
}

function placeOrder() {
  const random = Math.random().toString(36).slice(2, 8).toUpperCase();
  return { orderId: `M${Date.now()}-${random}`, amount: { value: 1999, currency: 'CNY' } };
}

function ticketFor(orderId) {
  return call('POST', '/demo/api/tickets', { order_id: orderId }).then(({ ticket }) => ticket);
}

// Where a real page calls wx.requestPayment with what its back end signed. It fails if the user closes the payment sheet.
function requestPayment({ orderId, amount }) {
  return call('POST', '/demo/api/payments', { order_id: orderId, status: 'processing', amount });
}

// What the payment provider tells the merchant's back end, sooner or later.
function settle({ orderId, amount }, status) {
  return call('POST', '/demo/api/payments', { order_id: orderId, status, amount });
}

module.exports = { placeOrder, ticketFor, requestPayment, settle };
