import { miniProgram, type Platform } from '../../src/index';
import { paymentPage } from '../../src/page';

export const platform: Platform = miniProgram(tt);

Page(
  paymentPage({
    onLoad({ orderId = '' }: Record<string, string | undefined>) {
      this.watchPayment({ url: 'https://pay.example.com', orderId, ticket: 't' });
    },
  }),
);
