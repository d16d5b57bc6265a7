import { useEffect, useState } from 'react';
import { useRouter } from '@tarojs/taro';
import { View } from '@tarojs/components';
import { watchPayment } from 'payment-notifier-miniprogram';
import { fetchTicket } from '../../shop';

export default function Cashier() {
  const { orderId, service, shop } = useRouter().params;
  const [state, setState] = useState('confirming');

  useEffect(() => {
    const watch = watchPayment({ url: decodeURIComponent(service), orderId, ticket: () => fetchTicket(decodeURIComponent(shop), orderId) });
    watch.result.then((outcome) => {
      if (!outcome.stopped) setState(outcome.final ? outcome.status : 'later');
    });
    return () => watch.stop();
  }, [orderId, service, shop]);

  return <View id="state">{state}</View>;
}
