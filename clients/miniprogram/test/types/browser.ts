import type { BrowserScope } from '../../src/adapters/browser';
import { browser, watchPayment } from '../../src/index.bundler';

export const scope: BrowserScope = window;

export async function page(): Promise<string> {
  const watch = watchPayment({
    url: location.origin,
    orderId: 'o1',
    ticket: () => fetch('/ticket').then((response) => response.text()),
    adapter: browser(),
  });
  const outcome = await watch.result;
  if (outcome.final) return outcome.status;
  if (outcome.timedOut) return 'confirming';
  return outcome.refused || 'stopped';
}
