import type { Platform } from '../platform';

declare function setTimeout(run: () => void, ms: number): unknown;
declare function clearTimeout(timer: unknown): void;

export const clock: Pick<Platform, 'now' | 'setTimer' | 'clearTimer' | 'random'> = {
  now: () => Date.now(),
  setTimer: (run, ms) => setTimeout(run, ms),
  clearTimer: (timer) => clearTimeout(timer),
  random: () => Math.random(),
};
