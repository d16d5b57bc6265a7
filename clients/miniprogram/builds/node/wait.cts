// node wait.cjs SERVICE ORDER TICKET: prints each state, and ends with the final one.
import sdk = require('payment-notifier-miniprogram');
import own = require('./platform.cjs');

const [, , url = '', orderId = '', ticket = ''] = process.argv;
const { result } = sdk.watchPayment({
  url,
  orderId,
  ticket: () => ticket,
  adapter: own.platform,
  onConnection: ({ transport }) => console.log(transport),
  onError: ({ error }) => console.log(error.message),
});
result.then((outcome: sdk.Outcome) => console.log(outcome.final ? outcome.status : 'later'));
