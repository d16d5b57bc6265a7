// node wait.mjs SERVICE ORDER TICKET: prints each state, and ends with the final one.
import { watchPayment, type Outcome } from 'payment-notifier-miniprogram';
import { platform } from './platform.cjs';

const [, , url = '', orderId = '', ticket = ''] = process.argv;
const { result } = watchPayment({
  url,
  orderId,
  ticket: () => ticket,
  adapter: platform,
  onConnection: ({ transport }) => console.log(transport),
  onError: ({ error }) => console.log(error.message),
});
result.then((outcome: Outcome) => console.log(outcome.final ? outcome.status : 'later'));
