import type { Payment, Status } from '../../src/types';
import type { Link, Service } from './world';

/** `http.ticket_wait_s` */
const TICKET_WAIT_MS = 20_000;

const FINAL: Status[] = ['succeeded', 'failed', 'canceled', 'expired'];

/** The contract, in memory. */
export interface FakeService extends Service {
  publish(orderId: string, status: Status): Payment;
  payment(orderId: string): Payment | undefined;
  /** Forgets everything, as a store made anew. */
  reset(): void;
  /** Tickets are `order[,order]:name`; those named here are refused. */
  expired: Set<string>;
  acks: { order_id: string; version: number; over: 'socket' | 'http' }[];
  frames: { type: string; [field: string]: unknown }[];
  requests: string[];
  links: Set<Link>;
  expireNow(ticket: string): void;
  restart(afterMs: number): void;
}

export const ticketFor = (name: string, ...orders: string[]): string => `${orders.join(',')}:${name}`;

export function createService(): FakeService {
  const payments = new Map<string, Payment>();
  const subscriptions = new Map<Link, Map<string, string>>();
  const watchers = new Set<(payment: Payment) => void>();

  const orders = (ticket: string): string[] => (ticket.includes(':') ? ticket.split(':')[0]!.split(',') : []);
  const refusal = (ticket: string, orderId?: string): string | undefined =>
    service.expired.has(ticket)
      ? 'ticket_expired'
      : !orders(ticket).length
        ? 'invalid_ticket'
        : orderId && !orders(ticket).includes(orderId)
          ? 'forbidden'
          : undefined;
  const known = (orderId: string): Payment =>
    payments.get(orderId) || ({ order_id: orderId, version: 0, status: 'unknown', final: false } as unknown as Payment);

  const service: FakeService = {
    expired: new Set(),
    acks: [],
    frames: [],
    requests: [],
    links: new Set(),
    payment: (orderId) => payments.get(orderId),
    publish(orderId, status) {
      const stands = payments.get(orderId);
      if (stands?.final && !FINAL.includes(status)) return stands;
      const payment: Payment = {
        order_id: orderId,
        version: (stands?.version || 0) + 1,
        status,
        final: FINAL.includes(status),
        display: { title: '付款 💰' },
      };
      payments.set(orderId, payment);
      subscriptions.forEach((mine, link) => mine.has(orderId) && link.send({ type: 'payment', payment }));
      [...watchers].forEach((run) => run(payment));
      return payment;
    },
    reset: () => payments.clear(),
    expireNow(ticket) {
      service.expired.add(ticket);
      subscriptions.forEach((mine, link) =>
        mine.forEach((used, orderId) => {
          if (used !== ticket) return;
          mine.delete(orderId);
          link.send({ type: 'error', code: 'ticket_expired', message: '', order_id: orderId });
        }),
      );
    },
    restart(afterMs) {
      service.links.forEach((link) => link.send({ type: 'reconnect', after_ms: afterMs }));
    },
    socket(link) {
      const mine = new Map<string, string>();
      subscriptions.set(link, mine);
      service.links.add(link);
      const unwait = link.later(TICKET_WAIT_MS, () => {
        link.send({ type: 'error', code: 'bad_request', message: 'no valid ticket was received within 20 s' });
        link.later(500, () => link.cut());
      });
      return {
        message(text) {
          const frame = JSON.parse(text);
          service.frames.push(frame);
          if (frame.type === 'ping') link.send({ type: 'pong' });
          else if (frame.type === 'unsubscribe') mine.delete(frame.order_id);
          else if (frame.type === 'ack') service.acks.push({ order_id: frame.order_id, version: frame.version, over: 'socket' });
          else if (frame.type === 'subscribe') {
            const code = refusal(frame.ticket);
            if (code) return link.send({ type: 'error', code, message: '' });
            unwait();
            orders(frame.ticket).forEach((orderId) => {
              mine.set(orderId, frame.ticket);
              link.send({ type: 'subscribed', order_id: orderId, payment: payments.get(orderId) || null });
            });
          } else link.send({ type: 'error', code: 'bad_request', message: '' });
        },
        closed() {
          unwait();
          subscriptions.delete(link);
          service.links.delete(link);
        },
      };
    },
    http(request, answer, later) {
      const url = new URL(request.url);
      service.requests.push(`${request.method} ${url.pathname}${url.search}`);
      const [orderId, action] = url.pathname.split('/').slice(3).map(decodeURIComponent) as [string, string?];
      const code = refusal((request.headers['authorization'] || '').slice(7), orderId);
      if (code) answer({ status: code === 'forbidden' ? 403 : 401, data: JSON.stringify({ code }) });
      else if (action === 'ack') {
        service.acks.push({ order_id: orderId, version: (request.body as { version: number }).version, over: 'http' });
        answer({ status: 204, data: '' });
      } else {
        const reply = (): void => answer({ status: 200, data: known(orderId) });
        const after = url.searchParams.get('after');
        if (after === null || Number(after) !== known(orderId).version) reply();
        else {
          const run = (payment: Payment): void => void (payment.order_id === orderId && reply());
          watchers.add(run);
          const cancel = later(Number(url.searchParams.get('wait')) * 1000, reply);
          return () => (cancel(), watchers.delete(run));
        }
      }
      return () => {};
    },
  };
  return service;
}
