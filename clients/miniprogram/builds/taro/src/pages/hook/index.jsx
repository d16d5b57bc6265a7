import { useRouter } from '@tarojs/taro';
import { View } from '@tarojs/components';
import { usePayment } from 'payment-notifier-miniprogram/react';
import { fetchTicket } from '../../shop';

export default function Cashier() {
  const { orderId, service, shop } = useRouter().params;
  const { show } = usePayment({ url: decodeURIComponent(service), orderId, ticket: (id) => fetchTicket(decodeURIComponent(shop), id) });

  return <View id="state">{show}</View>;
}
