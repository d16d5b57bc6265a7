import { backoff, type Alarms } from './alarms';
import type { Calls } from './calls';
import type { Platform, Request, Response } from './platform';
import { createSseParser } from './sse';
import { createUtf8Decoder } from './utf8';
import type { Transport } from './types';

/** The ladder for where sockets fail: event stream, long poll, short poll. */
export interface Feed {
  start(): void;
  stop(): void;
  /** From the top of the ladder, if it runs. */
  restart(): void;
}

export interface Host {
  platform: Platform;
  alarms: Alarms;
  calls: Calls;
  take(use: (ticket: string) => void): void;
  request(ticket: string, suffix?: string): Request;
  /** What the service said last. */
  version(): number;
  /** Takes an answer; false if it holds no payment. */
  read(response: Response, ticket: string): boolean;
  /** Which transport works; null: none. */
  report(transport: Transport | null): void;
}

const STREAM_FIRST_MS = 4000;
const STREAM_QUIET_MS = 40000;
const LONG_POLL_WAIT_S = 25;
const ANSWER_TIMEOUT_MS = 8000;
const CLIMB_AFTER_MS = 30000;
const SHORT_LIFE_MS = 3000;

type Rung = (ticket: string) => void;

export function createFeed({ platform, alarms, calls, take, request, version, read, report }: Host): Feed {
  const rungs: Rung[] = platform.requestChunked ? [stream, longPoll, poll] : [longPoll, poll];
  let running = false;
  let rung = 0;
  /** The rung that worked last. Those above it are tried again without a word: the page still has that one. */
  let working = 0;
  let failures = 0;
  let polls = 0;

  function next(inMs: number): void {
    if (running) alarms.at('next', inMs, run);
  }

  function run(): void {
    take((ticket) => running && rungs[rung]!(ticket));
  }

  function climb(): void {
    rung = failures = polls = 0;
    alarms.off('climb');
  }

  function works(transport: Transport): void {
    working = rung;
    report(transport);
  }

  /** `patience`: failures in a row on one rung before the next one down. */
  function failed(patience: number): void {
    if (!running) return;
    if (rung >= working) report(null);
    polls = 0;
    if (++failures >= patience || rung < working) {
      rung++;
      failures = 0;
    }
    next(backoff(platform, failures));
  }

  function stream(ticket: string): void {
    const startedAt = platform.now();
    let heard = false;
    const decode = createUtf8Decoder();
    const parse = createSseParser((data) => {
      if (read({ status: 200, data }, ticket)) {
        heard = true;
        if (running) works('stream');
      }
    });
    calls.start(
      'feed',
      STREAM_FIRST_MS,
      (done, live) =>
        platform.requestChunked!(
          request(ticket, '/events'),
          (part) => {
            if (!live()) return;
            const text = typeof part === 'string' ? part : decode(part);
            if (!parse(text)) calls.extend('feed', 0);
            // A proxy that holds the stream back passes nothing, not even the first state.
            else if (heard && text) calls.extend('feed', STREAM_QUIET_MS);
          },
          done,
        ),
      (response) => {
        read(response, ticket);
        // Gateways end streams after a minute or so: that is no failure.
        if (!heard || platform.now() - startedAt < SHORT_LIFE_MS) return failed(heard || response.status === 401 ? 2 : 1);
        failures = 0;
        next(platform.random() * 1000);
      },
    );
  }

  function longPoll(ticket: string): void {
    const startedAt = platform.now();
    const asked = version();
    // The first is short, to see whether this rung holds.
    const waitS = polls++ ? LONG_POLL_WAIT_S : 1;
    get(ticket, '?after=' + asked + '&wait=' + waitS, waitS * 1000 + ANSWER_TIMEOUT_MS, 'long_poll', 2, () => {
      // Whatever stands between may answer in the service's place and not wait.
      next(version() !== asked || platform.now() - startedAt > 900 ? 0 : 1000);
    });
  }

  function poll(ticket: string): void {
    if (!alarms.has('climb')) alarms.at('climb', CLIMB_AFTER_MS, climb);
    get(ticket, '', ANSWER_TIMEOUT_MS, 'poll', Infinity, () => {
      next(2000 * Math.min(5, Math.pow(1.5, Math.max(0, ++polls - 5))) * (0.8 + platform.random() * 0.4));
    });
  }

  function get(ticket: string, suffix: string, timeoutMs: number, name: Transport, patience: number, ok: () => void): void {
    calls.request('feed', timeoutMs, request(ticket, suffix), (response) => {
      if (!read(response, ticket)) return failed(patience);
      failures = 0;
      if (!running) return;
      works(name);
      ok();
    });
  }

  function stop(): void {
    running = false;
    calls.cancel('feed');
    alarms.off('next');
    alarms.off('climb');
  }

  const feed: Feed = {
    start() {
      alarms.off('fallback');
      if (running) return;
      running = true;
      run();
    },
    stop,
    restart() {
      if (!running) return;
      stop();
      climb();
      feed.start();
    },
  };
  return feed;
}
