import { createAlarms } from './alarms';
import { checkOptions } from './check';
import { addressFault, warnOnce } from './faults';
import { createCalls } from './calls';
import { createFeed } from './feed';
import { lineTo, type Line, type Member } from './line';
import type { Cancel, Platform, Request, Response } from './platform';
import { createTickets } from './tickets';
import { httpBase, parseJson } from './text';
import type { Connection, FinalPayment, Outcome, Payment, TicketError, TicketSource, Transport, WatchError } from './types';

export interface WatchOptions<TDisplay = unknown> {
  /** Base address of the service: `https://pay.example.com`. */
  url: string;
  orderId: string;
  /** A ticket from the merchant's back end, or a function that fetches one; only a function can replace a ticket that ran out. */
  ticket: TicketSource;
  /** Each state that is newer than the last one. Never after `stop()`. */
  onChange?(payment: Payment<TDisplay>): void;
  onConnection?(connection: Connection): void;
  /** Once, after `lateAfterMs` without a final state. The watch goes on: say that the order can be looked up later. */
  onLate?(): void;
  /** Each failure, which is tried again by itself. For logs, and for the mistakes of a first day. */
  onError?(error: WatchError): void;
  /**
   * The version that the page has already, from an earlier watch: it is neither told nor the result. For an order that is paid
   * again after it failed, or whose refund is waited for.
   */
  after?: number;
  /** Milliseconds by the clock until `onLate`; 75,000 if absent. */
  lateAfterMs?: number;
  /** Milliseconds by the clock until the watch ends as `timedOut`; never if absent. */
  giveUpAfterMs?: number;
  /** `stop()` from outside. */
  signal?: StopSignal;
  /** The platform, if the one that is found is not the right one. */
  adapter?: Platform;
}

/** What is used of an `AbortSignal`, which mini-programs lack. */
export interface StopSignal {
  readonly aborted: boolean;
  addEventListener(type: 'abort', run: () => void): void;
  removeEventListener(type: 'abort', run: () => void): void;
}

export interface Watch<TDisplay = unknown> {
  /** Settles exactly once and never rejects. Everything has ended by then: no timer, socket or request is left. */
  result: Promise<Outcome<TDisplay>>;
  /** For `onUnload`. May be called at any time, and more than once. */
  stop(): void;
}

const LATE_AFTER_MS = 75000;
const FALLBACK_AFTER_MS = 3000;
const LAST_LOOK_MS = 5000;
const ACK_TIMEOUT_MS = 2000;

/**
 * waiting → looking (it is given up: one last look) → done; waiting or looking → acking (the final state is known and the page was
 * told) → done.
 */
const enum Phase {
  Waiting,
  Looking,
  Acking,
  Done,
}

function isTicketError(code: string | undefined): code is TicketError {
  return /^(invalid_ticket|ticket_expired|forbidden)$/.test(code as string);
}

/** `send`: for requests in place of the platform's own. */
export function watch<TDisplay>(options: WatchOptions<TDisplay>, platform: Platform, send?: Platform['request']): Watch<TDisplay>;
export function watch(options: WatchOptions<any>, platform: Platform, send: Platform['request'] = (request, done) => platform.request(request, done)): Watch<any> {
  checkOptions(options);
  const base = httpBase(options.url);
  const orderId = options.orderId;
  const alarms = createAlarms(platform);
  const calls = createCalls(send, alarms);
  const attempts: Record<string, number> = {};
  let cause: WatchError | undefined;
  const tickets = createTickets(options.ticket, platform, alarms, (error) => failing('ticket', error));

  let phase = Phase.Waiting as Phase;
  let hidden = false;
  let shown: Payment | null = null;
  let final: FinalPayment | undefined;
  /** What the service said last: lower than what is shown if the answer was late, or if its store was made anew. */
  let version = 0;
  let acked = 0;

  let line: Line | undefined;
  let lineUp = false;
  let subscribed = false;
  /** The last attempt at a socket was refused. */
  let refusing = false;
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
    patienceMs: () => (subscribed ? undefined : refusing ? 0 : FALLBACK_AFTER_MS),
    report,
  });

  // What the page is told.

  /** False if the page's own function threw. */
  function tell(name: 'onChange' | 'onConnection' | 'onLate' | 'onError', what?: unknown): boolean {
    try {
      if (options[name]) (options[name] as (what: unknown) => void)(what);
      return true;
    } catch (error) {
      // The page's own error is shown as such, and doesn't stop the watch.
      Promise.reject(error);
      return false;
    }
  }

  /** `null`: that place works. */
  function failing(where: WatchError['where'], error: WatchError['error'] | null): void {
    if (!error) {
      attempts[where] = 0;
      cause = undefined;
      return;
    }
    if (!watching()) return;
    const told = { where, error, attempt: (attempts[where] = 1 + (attempts[where] || 0)) };
    const named = error.code !== 'unreachable';
    if (named || !cause) cause = told;
    // Where another transport works, an address that cannot be reached may be meant.
    if (named || !connection.transport) warnOnce(told);
    tell('onError', told);
  }

  function endUnfinished(how: object): void {
    end(Object.assign({ final: false, payment: shown }, how, cause && { cause }) as Outcome);
  }

  function report(transport: Transport | null): void {
    if (!watching() || (transport === connection.transport && reconnects === connection.reconnects)) return;
    const now = platform.now();
    if (connection.transport) aloneSince = now;
    connection = { transport, reconnects, ms: transport ? Math.max(0, now - aloneSince) : 0 };
    tell('onConnection', connection);
  }

  /** `byRequest`: it was asked for by HTTP. */
  function receive(payment: Payment, byRequest?: boolean): void {
    if (!watching()) return;
    version = payment.version;
    if (version === options.after) return;
    let told = true;
    if (version > (shown ? shown.version : 0)) {
      shown = payment;
      told = tell('onChange', payment);
    }
    if (!watching()) return;
    if (payment.final) return conclude(payment as FinalPayment, told, byRequest);
    // A page that failed to show it has nothing to acknowledge.
    if (!told) acked = version;
    acknowledge();
  }

  // The ends.

  function watching(): boolean {
    return phase < Phase.Acking;
  }

  function conclude(payment: FinalPayment, told: boolean, byRequest?: boolean): void {
    phase = Phase.Acking;
    final = payment;
    quiet();
    const done = (): void => end(payment);
    const sent = (isSent?: boolean): void => {
      if (isSent) done();
      else if (phase === Phase.Acking) tickets.take('ack', (ticket) => calls.request('post', ACK_TIMEOUT_MS, request(ticket, '/ack', { version }), done));
    };
    if (!told) return done();
    alarms.at('ack', ACK_TIMEOUT_MS, done);
    // Where a request brought it first, the socket may only seem to be there.
    if (subscribed && !byRequest) line!.send(ackFrame(), sent);
    else sent();
  }

  function end(outcome: Outcome): void {
    if (phase === Phase.Done) return;
    phase = Phase.Done;
    quiet();
    if (line) line.leave(member);
    hooks.forEach((unhook) => unhook());
    settle(outcome);
  }

  function quiet(): void {
    feed.stop();
    calls.cancelAll();
    alarms.cancelAll();
    tickets.forget();
  }

  function overdue(): void {
    phase = Phase.Looking;
    // A fetch that hangs must not cost the last look.
    tickets.forget();
    // In the background nobody looks at the page, and platforms cut requests: it is asked again until the page is back.
    alarms.at('last', LAST_LOOK_MS, () => (hidden ? overdue() : giveUp()));
    feed.look();
  }

  function giveUp(): void {
    endUnfinished({ timedOut: true });
  }

  // Questions by HTTP.

  function request(ticket: string, suffix: string, body?: object): Request {
    return {
      method: body ? 'POST' : 'GET',
      url: base + '/v1/payments/' + encodeURIComponent(orderId) + suffix,
      // The platforms send the latter with GET too, unasked.
      headers: { authorization: 'Bearer ' + ticket, 'content-type': 'application/json' },
      body,
    };
  }

  function read(response: Response, ticket: string): boolean {
    const body = Object(parseJson(response.data)) as Payment & { code?: string };
    if (response.status === 200 && body.order_id === orderId && body.version >= 0) {
      tickets.accept();
      failing('request', null);
      receive(body, true);
      if (phase === Phase.Looking) giveUp();
      return true;
    }
    failing('request', addressFault('request', base, response.status, response.reason, body.code));
    if (isTicketError(body.code)) refused(body.code, ticket);
    return false;
  }

  function refused(code: TicketError, ticket: string): void {
    if (watching() && !tickets.refuse(ticket)) endUnfinished({ refused: code });
  }

  // The socket, shared with other watches.

  const member: Member = {
    orderId,
    up() {
      lineUp = true;
      refusing = false;
      subscribe();
    },
    down(isRefused, reason) {
      lineUp = false;
      refusing = isRefused;
      if (isRefused) failing('socket', addressFault('socket', base, 0, reason));
      if (subscribed) reconnects++;
      unsubscribed();
      if (isRefused && phase === Phase.Waiting) feed.start(0);
    },
    frame(frame, answer) {
      if (!watching()) return;
      if (frame.type === 'subscribed') {
        tickets.accept();
        failing('socket', null);
        subscribed = true;
        feed.stop();
        report('socket');
      }
      if (frame.type === 'error') {
        const aboutTicket = isTicketError(frame.code);
        if (!answer && !aboutTicket) return;
        unsubscribed();
        // Unasked, it may mean the ticket of another watch of the same order.
        if (aboutTicket && (answer || typeof options.ticket === 'function')) refused(frame.code as TicketError, usedTicket);
        if (aboutTicket) subscribe();
        else if (phase === Phase.Waiting) feed.start(0);
      } else if (frame.payment) receive(frame.payment);
      if (watching()) acknowledge();
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
    if (phase === Phase.Waiting) feed.start(FALLBACK_AFTER_MS);
  }

  function ackFrame(): object {
    return { type: 'ack', order_id: orderId, version };
  }

  function acknowledge(): void {
    if (!subscribed || !shown || shown.version !== version || version === acked) return;
    acked = version;
    line!.send(ackFrame());
  }

  // Life.

  function fresh(): void {
    if (phase === Phase.Waiting) feed.look();
  }

  const { lateAfterMs = LATE_AFTER_MS, giveUpAfterMs, signal } = options;
  // First, since it throws if it is no signal.
  if (signal) signal.addEventListener('abort', stop);

  const hooks: Cancel[] = [
    () => signal && signal.removeEventListener('abort', stop),
    platform.onHide(() => {
      hidden = true;
    }),
    platform.onShow(() => {
      hidden = false;
      if (phase === Phase.Looking) overdue();
      else fresh();
    }),
    platform.onNetwork((connected) => {
      if (connected) fresh();
    }),
  ];

  alarms.at('late', lateAfterMs, () => tell('onLate'));
  if (giveUpAfterMs !== undefined) alarms.at('last', giveUpAfterMs, overdue);
  // Not at once: an adapter that answers before it returns must not tell the page what it has no watch for.
  Promise.resolve().then(() => {
    if (watching()) feed.look();
    if (watching()) (line = lineTo(platform, base)).enter(member);
  });

  function stop(): void {
    if (final) end(final);
    else endUnfinished({ stopped: true });
  }

  if (signal && signal.aborted) stop();
  return { result, stop };
}
