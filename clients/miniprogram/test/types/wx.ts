import { miniProgram, type Platform } from '../../src/index';
import { paymentComponent, paymentPage } from '../../src/page';

export const platform: Platform = miniProgram(wx);

const ticket = (orderId: string): Promise<string> => Promise.resolve(orderId);

Page(
  paymentPage({
    data: { orderId: '' },
    onLoad({ orderId }: { orderId: string }) {
      this.setData({ orderId });
      this.watchPayment({ url: 'https://pay.example.com', orderId, ticket });
    },
  }),
);

Component(
  paymentComponent({
    properties: { orderId: String },
    lifetimes: {
      attached() {
        this.watchPayment({ url: 'https://pay.example.com', orderId: this.data.orderId, ticket });
      },
    },
    methods: {
      again() {
        this.watchPaymentAgain();
      },
    },
  }),
);
