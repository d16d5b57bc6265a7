import { backoff, type Alarms } from './alarms';
import type { Calls } from './calls';
import type { Platform, Request, Response } from './platform';
import type { Transport } from './types';

/** Questions by HTTP: one look at once, and where sockets fail long polls, and short polls where those get no answer. */
export interface Feed {
  /** Asks at once, whatever is under way, and goes on if it is needed. */
  look(): void;
  /** Begins in `inMs`, if it does not run; at 0 it waits for no socket any more. */
  start(inMs: number): void;
  stop(): void;
}

export interface Host {
  platform: Platform;
  alarms: Alarms;
  calls: Calls;
  take(use: (ticket: string) => void): void;
  request(ticket: string, suffix: string): Request;
  /** What the service said last. */
  version(): number;
  /** Takes an answer; false if it holds no payment. */
  read(response: Response, ticket: string): boolean;
  /** Milliseconds that a socket has yet to do the work; none if it does. */
  patienceMs(): number | undefined;
  /** Which transport works; null: none. */
  report(transport: Transport | null): void;
}

const WAIT_S = 25;
const ANSWER_TIMEOUT_MS = 8000;
const CLIMB_AFTER_MS = 30000;
const POLL_MS = 2000;
const POLL_SLOWER_MAX = 10;

export function createFeed({ platform, alarms, calls, take, request, version, read, patienceMs, report }: Host): Feed {
  let running = false;
  let looking = false;
  /** Seconds that the service is asked to hold the next answer; 0: a short poll. The first is short, to see whether it holds. */
  let waitS = 1;
  let failures = 0;
  let polls = 0;
  let climbAt = 0;

  function next(inMs: number): void {
    alarms.at('next', inMs, run);
  }

  function run(): void {
    take((ticket) => running && ask(ticket));
  }

  function ask(ticket: string): void {
    const startedAt = platform.now();
    const asked = version();
    const held = looking ? 0 : waitS;
    const looks = looking;
    calls.request('feed', held * 1000 + ANSWER_TIMEOUT_MS, request(ticket, held ? '?after=' + asked + '&wait=' + held : ''), (response) => {
      const understood = read(response, ticket);
      if (!running) return;
      const patience = patienceMs();
      if (patience === undefined) return stop();
      const now = platform.now();
      // Long polls are tried again without a word while short polls work.
      const stands = held && polls;
      looking = looks && !understood;
      if (!understood) {
        if (!stands) report(null);
        if (held && (stands || failures)) {
          waitS = 0;
          climbAt = now + CLIMB_AFTER_MS;
        }
        return next(stands ? 0 : backoff(platform, failures++));
      }
      failures = 0;
      if (looks) return alarms.at('start', patience, run);
      report(held ? 'long_poll' : 'poll');
      if (held) {
        polls = 0;
        waitS = WAIT_S;
        // Whatever stands between may answer in the service's place and not wait.
        return next(version() !== asked || now - startedAt > 900 ? 0 : 1000);
      }
      if (now > climbAt) waitS = 1;
      next(POLL_MS * Math.min(POLL_SLOWER_MAX, Math.pow(1.5, Math.max(0, ++polls - 5))) * (0.8 + platform.random() * 0.4));
    });
  }

  function stop(): void {
    running = false;
    calls.cancel('feed');
    ['next', 'start'].forEach(alarms.off);
  }

  return {
    look() {
      stop();
      running = looking = true;
      waitS = 1;
      failures = polls = 0;
      run();
    },
    start(inMs) {
      if (running && (inMs || !alarms.has('start'))) return;
      running = true;
      alarms.at('start', inMs, run);
    },
    stop,
  };
}
