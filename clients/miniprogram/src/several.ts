import { watch } from './core';
import { mistake, wordsOf } from './faults';
import { platformOf } from './index';
import type { Cancel, Platform } from './platform';
import { tell } from './text';
import type { Connection, FinalPayment, Outcome, Payment, WatchError } from './types';
import type { Watch, WatchOptions } from './watch';

/** What a ticket may hold, and one socket. */
const ORDERS_MAX = 20;
/** Questions at once, and as many acknowledgements: together what a mini-program has. */
const REQUESTS_MAX = 5;
/** Milliseconds for which one order waits for the fetch of another. */
const FETCH_SHARED_MS = 250;
/** Seconds that a long poll is held where more orders wait than requests are allowed: each has its turn within ten. */
const SHARED_WAIT_S = 2;

/** News of one order: a newer state, or how its wait ended. */
export type Update<TDisplay = unknown> =
  | { orderId: string; over: false; payment: Payment<TDisplay> }
  | { orderId: string; over: true; outcome: Outcome<TDisplay> };

/** Each order by its number. `final` tells whether all of them have a final state. */
export type Outcomes<TDisplay = unknown> =
  | { final: true; outcomes: Record<string, FinalPayment<TDisplay>> }
  | { final: false; outcomes: Record<string, Outcome<TDisplay>> };

export interface SeveralOptions<TDisplay = unknown> extends Pick<WatchOptions<TDisplay>, 'url' | 'lateAfterMs' | 'giveUpAfterMs' | 'signal' | 'adapter'> {
  /** 1 to 20, each once. */
  orderIds: readonly string[];
  /** A ticket that holds all of the orders, or a function that fetches one. It is asked once for all of them. */
  ticket: string | ((orderIds: readonly string[]) => string | Promise<string>);
  /** Each state that is newer than the last one of its order, then the order's outcome. Not after `stop()`. */
  onUpdate?(update: Update<TDisplay>): void;
  onConnection?(connection: Connection & { orderId: string }): void;
  /** Once for each order that has no final state after `lateAfterMs`. */
  onLate?(late: { orderId: string }): void;
  onError?(error: WatchError & { orderId: string }): void;
  /** The versions that the page has already, by order: neither told nor a result. */
  after?: Record<string, number | undefined>;
}

export interface Several<TDisplay = unknown> {
  /** Settles exactly once, when every order is over, and never rejects. */
  result: Promise<Outcomes<TDisplay>>;
  /** Stops one order, or all of them. */
  stop(orderId?: string): void;
}

/**
 * Tells the page each state of several orders over one socket, until all of them are over.
 * @throws TypeError where options cannot be meant; nothing has begun then.
 */
export function watchPayments<TDisplay = unknown>(options: SeveralOptions<TDisplay>): Several<TDisplay> {
  const given = Object(options) as SeveralOptions<TDisplay>;
  checkOptions(given);
  const { orderIds, ticket, onUpdate, onLate, onError, onConnection, after, signal } = given;
  const platform = platformOf(options);
  const ids = orderIds.slice();
  const shared = typeof ticket === 'function' ? shareTickets(() => ticket(ids), () => platform.now()) : () => ticket;
  const watches = new Map<string, Watch<TDisplay>>();
  const outcomes = new Map<string, Outcome<TDisplay>>();
  const send = queueRequests(platform, () => watches.size);

  function stop(orderId?: unknown): void {
    watches.forEach((watch, each) => (typeof orderId === 'string' && orderId !== each) || watch.stop());
  }

  let settle!: (all: Outcomes<TDisplay>) => void;
  const result = new Promise<Outcomes<TDisplay>>((resolve) => (settle = resolve));
  const ended = (orderId: string, outcome: Outcome<TDisplay>): void => {
    outcomes.set(orderId, outcome);
    watches.delete(orderId);
    if (onUpdate && !outcome.stopped) tell(() => onUpdate({ orderId, over: true, outcome }));
    if (watches.size) return;
    if (signal) signal.removeEventListener('abort', stop);
    const all: Record<string, Outcome<TDisplay>> = {};
    ids.forEach((each) => (all[each] = outcomes.get(each)!));
    settle({ final: ids.every((each) => all[each]!.final), outcomes: all } as Outcomes<TDisplay>);
  };

  if (signal) signal.addEventListener('abort', stop);
  try {
    ids.forEach((orderId) => {
      const one: WatchOptions<TDisplay> = Object.assign({}, given, {
        orderIds: undefined,
        onUpdate: undefined,
        signal: undefined,
        orderId,
        ticket: shared(),
        after: after && after[orderId],
        onChange: onUpdate && ((payment: Payment<TDisplay>) => onUpdate({ orderId, over: false, payment })),
        onConnection: onConnection && ((connection: Connection) => onConnection(Object.assign({ orderId }, connection))),
        onLate: onLate && (() => onLate({ orderId })),
        onError: onError && ((error: WatchError) => onError(Object.assign({ orderId }, error))),
      });
      watches.set(orderId, watch(one, platform, send));
    });
  } catch (error) {
    stop();
    if (signal) signal.removeEventListener('abort', stop);
    throw error;
  }
  watches.forEach((each, orderId) => each.result.then((outcome) => ended(orderId, outcome)));
  if (signal && signal.aborted) stop();
  return { result, stop };
}

/** What the core cannot see; it checks the rest. */
function checkOptions(given: any): void {
  const { orderIds, after } = given;
  const right = Array.isArray(orderIds) && orderIds.length && orderIds.length <= ORDERS_MAX && new Set(orderIds).size === orderIds.length;
  if (!right) mistake('option orderIds: 1 to 20 order numbers, each once');
  Object.keys(given).forEach((name) => {
    const isCallback = /^on(Update|Late|Error|Connection)$/.test(name);
    const wrong = isCallback ? !/function|undefined/.test(typeof given[name]) : /^(orderId|onChange)$/.test(name);
    if (wrong) mistake(`option ${name}: unknown or wrong type`);
  });
  if (after !== undefined && typeof after !== 'object') mistake('option after: versions by order');
}

/** One fetch for all orders. Whoever asks again has had the ticket that is there, and it was no good; a fetch that hangs is shared with nobody. */
function shareTickets(fetch: () => string | Promise<string>, now: () => number): () => () => Promise<string> {
  let current: Promise<string> | undefined;
  let pending = false;
  let askedAt = 0;
  return () => {
    let mine: Promise<string> | undefined;
    return () => {
      if (mine === current || (pending && Math.abs(now() - askedAt) > FETCH_SHARED_MS)) {
        const fetched = new Promise<string>((resolve) => resolve(fetch()));
        const settled = (): void => {
          if (current === fetched) pending = false;
        };
        pending = true;
        askedAt = now();
        current = fetched;
        fetched.then(settled, settled);
      }
      return (mine = current!);
    };
  };
}

/** The platform's requests, a few at a time. What acknowledges waits for no question, which may be held. */
function queueRequests(platform: Platform, waiting: () => number): Platform['request'] {
  const ask = createQueue(platform);
  const acknowledge = createQueue(platform);
  return (request, done) => {
    if (request.method === 'POST') return acknowledge(request, done);
    const url = waiting() > REQUESTS_MAX ? request.url.replace(/wait=\d\d/, 'wait=' + SHARED_WAIT_S) : request.url;
    return ask(Object.assign({}, request, { url }), done);
  };
}

function createQueue(platform: Platform): Platform['request'] {
  const queue: (() => void)[] = [];
  let running = 0;
  return (request, done) => {
    let abort: Cancel | void;
    let state: 'queued' | 'running' | 'over' = 'queued';
    /** Once: `last` if it ran, then the next in the queue. */
    const end = (last?: Cancel | void): void => {
      const ran = state === 'running';
      state = 'over';
      if (ran) running--;
      try {
        if (ran && last) last();
      } finally {
        const next = running < REQUESTS_MAX && queue.shift();
        if (next) next();
      }
    };
    const begin = (): void => {
      state = 'running';
      running++;
      try {
        abort = platform.request(request, (response) => end(() => done(response)));
      } catch (error) {
        end(() => done({ status: 0, reason: wordsOf(error) }));
      }
    };
    if (running < REQUESTS_MAX) begin();
    else queue.push(begin);
    return () => {
      const at = queue.indexOf(begin);
      if (at >= 0) queue.splice(at, 1);
      end(abort);
    };
  };
}
