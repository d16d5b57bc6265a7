import { watchPayment } from 'payment-notifier-miniprogram';

const { orderId, service } = Object.fromEntries(new URLSearchParams(location.search));

// The merchant's back end makes tickets.
async function fetchTicket() {
  const response = await fetch('/payment-ticket', { method: 'POST', body: JSON.stringify({ order_id: orderId }) });
  if (!response.ok) throw new Error(response.status);
  return (await response.json()).ticket;
}

const watch = watchPayment({ url: service, orderId, ticket: fetchTicket });
watch.result.then((outcome) => {
  if (!outcome.stopped) document.getElementById('state').textContent = outcome.final ? outcome.status : 'later';
});
