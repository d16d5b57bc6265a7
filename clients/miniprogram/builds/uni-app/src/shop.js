// The merchant's back end makes tickets.
export function fetchTicket(shop, order_id) {
  return new Promise((resolve, reject) => {
    uni.request({
      url: `${shop}/payment-ticket`,
      method: 'POST',
      data: { order_id },
      success: ({ statusCode, data }) => (statusCode === 200 ? resolve(data.ticket) : reject(new Error(statusCode))),
      fail: reject,
    });
  });
}
