import Taro from '@tarojs/taro';

// The merchant's back end makes tickets.
export async function fetchTicket(shop, order_id) {
  const { statusCode, data } = await Taro.request({ url: `${shop}/payment-ticket`, method: 'POST', data: { order_id } });
  if (statusCode !== 200) throw new Error(statusCode);
  return data.ticket;
}
