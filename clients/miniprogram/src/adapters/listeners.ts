import type { Cancel } from '../platform';

/**
 * One listener of the platform for any number of ours, registered when first needed and never again: not every platform can
 * take one back.
 */
export function shareListener<T>(register: (listener: (value: T) => void) => void): (run: (value: T) => void) => Cancel {
  const listeners = new Set<(value: T) => void>();
  let registered = false;
  return (run) => {
    listeners.add(run);
    if (!registered) {
      registered = true;
      register((value) => listeners.forEach((each) => each(value)));
    }
    return () => {
      listeners.delete(run);
    };
  };
}
