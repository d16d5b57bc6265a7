import { createAlarms } from './alarms';
import { createCalls } from './calls';
import { createFeed } from './feed';
import { lineTo, type Line, type Member } from './line';
import type { Cancel, Platform, Request, Response } from './platform';
import { createTickets } from './tickets';
import { httpBase, parseJson } from './text';
import type { Connection, FinalPayment, Outcome, Payment, TicketError, TicketSource, Transport } from './types';

export interface WatchOptions {
  /** Base address of the service: `https://pay.example.com`. */
  url: string;
  orderId: string;
  /** A ticket from the merchant's back end, or a function that fetches one; only a function can replace a ticket that ran out. */
  ticket: TicketSource;
  /** Each state that is newer than the last one. Never after `stop()`. */
  onChange?(payment: Payment): void;
  onConnection?(connection: Connection): void;
  /**
   * The version that the page has already, from an earlier watch: it is neither told nor the result. For an order that is paid
   * again after it failed, or whose refund is waited for.
   */
  after?: number;
  /** Milliseconds by the clock until `result` says `timedOut`; 90,000 if absent. */
  deadlineMs?: number;
  /** The platform, if the one that is found is not the right one. */
  adapter?: Platform;
}

export interface Watch {
  /** Settles exactly once and never rejects. Everything has ended by then: no timer, socket or request is left. */
  result: Promise<Outcome>;
  /** For `onUnload`. May be called at any time, and more than once. */
  stop(): void;
}

const DEADLINE_MS = 90000;
const FALLBACK_AFTER_MS = 3000;
const LOOK_TIMEOUT_MS = 8000;
const LAST_LOOK_MS = 5000;
const LOOK_AGAIN_MS = 1000;
const ACK_TIMEOUT_MS = 2000;

/**
 * waiting → looking (the deadline has passed: one last look) → done; waiting or looking → acking (the final state is known and
 * the page was told) → done. `asleep` is a passed deadline in the background: nobody looks at the page, so the last look waits
 * for its return.
 */
type Phase = 'waiting' | 'asleep' | 'looking' | 'acking' | 'done';

function isTicketError(code: string | undefined): code is TicketError {
  return /^(invalid_ticket|ticket_expired|forbidden)$/.test(code as string);
}

export function watch(options: WatchOptions, platform: Platform): Watch {
  const base = httpBase(options.url);
  const orderId = options.orderId;
  const alarms = createAlarms(platform);
  const calls = createCalls(platform, alarms);
  const tickets = createTickets(options.ticket, platform, alarms);

  let phase = 'waiting' as Phase;
  let hidden = false;
  let shown: Payment | null = null;
  let final: FinalPayment | undefined;
  /** What the service said last: lower than what is shown if the answer was late, or if its store was made anew. */
  let version = 0;
  let acked = 0;

  let line: Line | undefined;
  let lineUp = false;
  let subscribed = false;
  let usedTicket = '';
  let connection: Connection = { transport: null, reconnects: 0, ms: 0 };
  let reconnects = 0;
  let aloneSince = platform.now();

  let settle!: (outcome: Outcome) => void;
  const result = new Promise<Outcome>((resolve) => (settle = resolve));

  const feed = createFeed({
    platform,
    alarms,
    calls,
    take: (use) => tickets.take('feed', use),
    request,
    version: () => version,
    read,
    report,
  });

  // What the page is told.

  function guarded(run: () => void): boolean {
    try {
      run();
      return true;
    } catch (error) {
      // The page's own error is shown as such, and doesn't stop the watch.
      Promise.reject(error);
      return false;
    }
  }

  function report(transport: Transport | null): void {
    if (!watching() || (transport === connection.transport && reconnects === connection.reconnects)) return;
    const now = platform.now();
    if (connection.transport) aloneSince = now;
    connection = { transport, reconnects, ms: transport ? Math.max(0, now - aloneSince) : 0 };
    if (options.onConnection) guarded(() => options.onConnection!(connection));
  }

  function receive(payment: Payment): void {
    if (!watching()) return;
    version = payment.version;
    if (version === options.after) return;
    let told = true;
    if (version > (shown ? shown.version : 0)) {
      shown = payment;
      told = !options.onChange || guarded(() => options.onChange!(payment));
    }
    if (!watching()) return;
    if (payment.final) return conclude(payment as FinalPayment, told);
    // A page that failed to show it has nothing to acknowledge.
    if (!told) acked = version;
    acknowledge();
  }

  // The ends.

  function watching(): boolean {
    return phase === 'waiting' || phase === 'looking';
  }

  function conclude(payment: FinalPayment, told: boolean): void {
    phase = 'acking';
    final = payment;
    quiet();
    const done = (): void => end(payment);
    const post = (): void =>
      tickets.take('ack', (ticket) => calls.request('post', ACK_TIMEOUT_MS, request(ticket, '/ack', { version }), done));
    if (!told) return done();
    alarms.at('ack', ACK_TIMEOUT_MS, done);
    if (subscribed) line!.send(member, ackFrame(), (sent) => (sent ? done() : phase === 'acking' && post()));
    else post();
  }

  function end(outcome: Outcome): void {
    if (phase === 'done') return;
    phase = 'done';
    rest();
    hooks.forEach((unhook) => unhook());
    settle(outcome);
  }

  function quiet(): void {
    feed.stop();
    calls.cancelAll();
    alarms.clear();
    tickets.forget();
  }

  function rest(): void {
    quiet();
    if (line) line.leave(member);
    line = undefined;
    lineUp = subscribed = false;
  }

  function overdue(): void {
    if (hidden) {
      report(null);
      if (!watching()) return;
      phase = 'asleep';
      rest();
    } else {
      phase = 'looking';
      // A fetch that hangs must not cost the last look.
      tickets.forget();
      alarms.at('last', LAST_LOOK_MS, overdueStill);
      look();
    }
  }

  function overdueStill(): void {
    if (hidden) overdue();
    else end({ timedOut: true, final: false, payment: shown });
  }

  // Looking: one question, one answer.

  function request(ticket: string, suffix = '', body?: object): Request {
    const headers: Record<string, string> = { authorization: 'Bearer ' + ticket };
    if (body) headers['content-type'] = 'application/json';
    return { method: body ? 'POST' : 'GET', url: base + '/v1/payments/' + encodeURIComponent(orderId) + suffix, headers, body };
  }

  function look(): void {
    tickets.take('look', (ticket) => {
      calls.request('look', LOOK_TIMEOUT_MS, request(ticket), (response) => {
        const understood = read(response, ticket);
        if (phase !== 'looking') return;
        if (understood) overdueStill();
        else alarms.at('again', LOOK_AGAIN_MS, look);
      });
    });
  }

  function read(response: Response, ticket: string): boolean {
    const body = parseJson(response.data) as (Payment & { code?: string }) | undefined;
    if (!body) return false;
    if (response.status === 200 && body.order_id === orderId && body.version >= 0) {
      tickets.accept();
      receive(body);
      return true;
    }
    if (isTicketError(body.code)) refused(body.code, ticket);
    return false;
  }

  function refused(code: TicketError, ticket: string): void {
    if (watching() && !tickets.refuse(ticket)) end({ refused: code, final: false, payment: shown });
  }

  // The socket, shared with other watches.

  const member: Member = {
    orderId,
    up() {
      lineUp = true;
      subscribe();
    },
    down(isRefused) {
      lineUp = false;
      if (subscribed) reconnects++;
      unsubscribed();
      if (isRefused && phase === 'waiting') feed.start();
    },
    frame(frame, answer) {
      if (!watching()) return;
      if (frame.type === 'subscribed') {
        tickets.accept();
        subscribed = true;
        feed.stop();
        alarms.off('fallback');
        report('socket');
        if (frame.payment) receive(frame.payment);
        if (watching()) acknowledge();
      } else if (frame.type === 'payment') {
        if (frame.payment) receive(frame.payment);
      } else if (frame.type === 'error') {
        const aboutTicket = isTicketError(frame.code);
        if (!answer && !aboutTicket) return;
        unsubscribed();
        // Unasked, it may mean the ticket of another watch of the same order.
        if (aboutTicket && (answer || typeof options.ticket === 'function')) refused(frame.code as TicketError, usedTicket);
        if (aboutTicket) subscribe();
        else if (phase === 'waiting') feed.start();
      }
    },
  };

  function subscribe(): void {
    if (!watching()) return;
    tickets.take('socket', (ticket) => {
      if (!lineUp) return;
      usedTicket = ticket;
      line!.subscribe(member, ticket);
    });
  }

  function unsubscribed(): void {
    if (subscribed) report(null);
    subscribed = false;
    if (phase === 'waiting' && !alarms.has('fallback')) alarms.at('fallback', FALLBACK_AFTER_MS, feed.start);
  }

  function ackFrame(): object {
    return { type: 'ack', order_id: orderId, version };
  }

  function acknowledge(): void {
    if (!subscribed || !shown || shown.version !== version || version === acked) return;
    acked = version;
    line!.send(member, ackFrame());
  }

  // Life.

  function fresh(): void {
    if (phase !== 'waiting') return;
    look();
    feed.restart();
  }

  const hooks: Cancel[] = [
    platform.onHide(() => {
      hidden = true;
    }),
    platform.onShow(() => {
      hidden = false;
      if (phase === 'asleep' || phase === 'looking') overdue();
      else fresh();
    }),
    platform.onNetwork((connected) => {
      if (connected) fresh();
    }),
  ];

  alarms.at('deadline', options.deadlineMs === undefined ? DEADLINE_MS : options.deadlineMs, overdue);
  alarms.at('fallback', FALLBACK_AFTER_MS, feed.start);
  // Not at once: an adapter that answers before it returns must not tell the page what it has no watch for.
  Promise.resolve().then(() => {
    if (watching()) look();
    if (watching()) (line = lineTo(platform, base)).join(member);
  });

  return {
    result,
    stop() {
      end(final || { stopped: true, final: false, payment: shown });
    },
  };
}
