import { miniProgram, type Platform } from '../../src/index';
import { paymentPage } from '../../src/page';

export const platform: Platform = miniProgram(my);

// These typings have no `Page`.
export const page: object = paymentPage({
  onLoad({ orderId }: { orderId: string }) {
    this.watchPayment({ url: 'https://pay.example.com', orderId, ticket: 't' });
  },
});
