import type { Platform } from './platform';

/** Named deadlines by the wall clock, all on one platform timer, which each change sets anew: devices lose timers. */
export interface Alarms {
  /** Replaces the alarm of that name. */
  at(name: string, inMs: number, run: () => unknown): void;
  off(name: string): void;
  has(name: string): boolean;
  cancelAll(): void;
}

const LONGEST_SLEEP_MS = 60000;

export function createAlarms(platform: Platform): Alarms {
  let alarms = new Map<string, { at: number; run: () => unknown }>();
  let timer: unknown;
  let armed = false;
  let checking = false;
  let seen = platform.now();

  function look(): number {
    const now = platform.now();
    // A clock that is set back must not stretch the deadlines.
    if (now < seen) alarms.forEach((alarm) => (alarm.at += now - seen));
    return (seen = now);
  }

  function arm(): void {
    if (checking) return;
    if (armed) platform.clearTimer(timer);
    armed = alarms.size > 0;
    if (!armed) return;
    let next = Infinity;
    alarms.forEach((alarm) => (next = Math.min(next, alarm.at)));
    timer = platform.setTimer(woken, Math.max(0, Math.min(next - look(), LONGEST_SLEEP_MS)));
  }

  function woken(): void {
    armed = false;
    const now = look();
    checking = true;
    try {
      Array.from(alarms)
        .filter(([, alarm]) => alarm.at <= now)
        .forEach(([name, alarm]) => {
          // One that ran before it may have replaced it or put it off.
          if (alarms.get(name) !== alarm) return;
          alarms.delete(name);
          alarm.run();
        });
    } finally {
      checking = false;
      arm();
    }
  }

  return {
    at(name, inMs, run) {
      alarms.set(name, { at: look() + inMs, run });
      arm();
    },
    off(name) {
      if (alarms.delete(name)) arm();
    },
    has: (name) => alarms.has(name),
    cancelAll() {
      alarms = new Map();
      arm();
    },
  };
}

/** Doubles from half a second to 20 seconds; half of it is chance, so that pages do not come back in step. */
export function backoff(platform: Platform, failures: number): number {
  return Math.min(10000, 250 * Math.pow(2, failures)) * (1 + platform.random());
}
