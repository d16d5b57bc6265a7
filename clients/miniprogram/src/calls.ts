import type { Alarms } from './alarms';
import { wordsOf } from './faults';
import type { Cancel, Platform, Request, Response } from './platform';
import { quietly } from './text';

/** HTTP calls by name, each with its own time-out. A call replaces the one of the same name. */
export interface Calls {
  /** `done` runs exactly once, unless the call is cancelled or replaced: then never. */
  request(name: string, timeoutMs: number, request: Request, done: (response: Response) => void): void;
  cancel(name: string): void;
  cancelAll(): void;
}

export function createCalls(send: Platform['request'], alarms: Alarms): Calls {
  const running = new Map<string, Cancel>();

  function cancel(name: string): void {
    const stop = running.get(name);
    if (stop) stop();
  }

  return {
    request(name, timeoutMs, request, done) {
      cancel(name);
      let abort: Cancel | void;
      const live = (): boolean => running.get(name) === stop;
      const stop = (): void => {
        running.delete(name);
        alarms.off(name);
        if (abort) quietly(abort);
      };
      const finish = (response: Response): void => {
        if (!live()) return;
        stop();
        done(response);
      };
      running.set(name, stop);
      alarms.at(name, timeoutMs, () => finish({ status: 0 }));
      try {
        abort = send(request, (response) => {
          abort = undefined;
          finish(response);
        });
        // It may have ended before it could be told how.
        if (!live() && abort) quietly(abort);
      } catch (error) {
        finish({ status: 0, reason: wordsOf(error) });
      }
    },
    cancel,
    cancelAll: () => running.forEach((stop) => stop()),
  };
}
