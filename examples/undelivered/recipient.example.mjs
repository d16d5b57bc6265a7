// Of the shop: who paid an order, or null if nobody is to be told. What stands beside openid may stand in the template as {name}.
const orders = new Map([["T20260131-0001", { openid: "oExampleOpenid", product: "一杯咖啡" }]]);

export async function recipient(merchantId, orderId) {
  return orders.get(orderId) ?? null;
}
