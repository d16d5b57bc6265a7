import type { Alarms } from './alarms';
import type { Cancel, Platform, Request, Response } from './platform';

/** HTTP calls by name, each with its own time-out. A call replaces the one of the same name. */
export interface Calls {
  /** `done` runs exactly once, unless the call is cancelled or replaced: then never. */
  start(name: string, timeoutMs: number, send: Send, done: (response: Response) => void): void;
  request(name: string, timeoutMs: number, request: Request, done: (response: Response) => void): void;
  /** Gives the call of that name another `timeoutMs` from this moment. */
  extend(name: string, timeoutMs: number): void;
  cancel(name: string): void;
  cancelAll(): void;
}

/** `live` turns false when nobody waits for the call any more. */
export type Send = (done: (response: Response) => void, live: () => boolean) => Cancel | void;

export function createCalls(platform: Platform, alarms: Alarms): Calls {
  const running = new Map<string, { stop: Cancel; expire: () => void }>();

  function cancel(name: string): void {
    const call = running.get(name);
    if (call) call.stop();
  }

  function start(name: string, timeoutMs: number, send: Send, done: (response: Response) => void): void {
    cancel(name);
    let abort: Cancel | void;
    const live = (): boolean => running.get(name) === call;
    const stop = (): void => {
      running.delete(name);
      alarms.off(name);
      if (abort) abort();
    };
    const finish = (response: Response): void => {
      if (!live()) return;
      abort = undefined;
      stop();
      done(response);
    };
    const expire = (): void => {
      stop();
      done({ status: 0 });
    };
    const call = { stop, expire };
    running.set(name, call);
    alarms.at(name, timeoutMs, expire);
    try {
      abort = send(finish, live);
      // It may have ended before it could be told how.
      if (abort && !live()) abort();
    } catch {
      finish({ status: 0 });
    }
  }

  return {
    start,
    request: (name, timeoutMs, request, done) => start(name, timeoutMs, (finish) => platform.request(request, finish), done),
    extend(name, timeoutMs) {
      const call = running.get(name);
      if (call) alarms.at(name, timeoutMs, call.expire);
    },
    cancel,
    cancelAll: () => running.forEach((call) => call.stop()),
  };
}
