import { browser } from './adapters/browser';
import { watch, type Watch, type WatchOptions } from './watch';

export { browser };

/** Tells the page each state of its order until the final one. */
export function watchPayment<TDisplay = unknown>(options: WatchOptions<TDisplay>): Watch<TDisplay> {
  return watch(options, Object(options).adapter || browser());
}
