import type { BrowserScope } from '../../src/adapters/browser';
import { browser, watchPayment } from '../../src/index.bundler';
import { usePayment as useInReact } from '../../src/react';
import { watchPayments } from '../../src/several';
import { usePayment as useInVue } from '../../src/vue';
import { ref } from 'vue';

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

interface Texts {
  title: string;
}

export async function all(): Promise<string[]> {
  const several = watchPayments<Texts>({
    url: location.origin,
    orderIds: ['o1', 'o2'] as const,
    ticket: (orderIds) => Promise.resolve(orderIds.join()),
    onUpdate(update) {
      // @ts-expect-error: an update that is not over has no outcome
      if (!update.over) update.outcome;
      else if (update.outcome.final) update.outcome.display?.title.trim();
    },
    onError: ({ orderId, error }) => console.warn(orderId, error.code),
    after: { o1: 1 },
    signal: new AbortController().signal,
  });
  several.stop('o1');
  const result = await several.result;
  // @ts-expect-error: those that are not all final may have no status
  if (!result.final) return Object.values(result.outcomes).map(({ status }) => status);
  return Object.values(result.outcomes).map(({ status, display }) => status + display?.title);
}

export function vue(): string | undefined {
  const { show, payment, outcome, again } = useInVue<Texts>({ url: () => location.origin, orderId: ref('o1'), ticket: (orderId) => orderId });
  if (show.value === 'later') again();
  if (outcome.value && !outcome.value.final) return outcome.value.refused;
  return payment.value?.display?.title;
}

export function react(): string | undefined {
  const { show, payment, outcome, again } = useInReact<Texts>({ url: location.origin, orderId: null, ticket: async (orderId) => orderId, giveUpAfterMs: 1 });
  if (show === 'failed') again();
  if (outcome?.timedOut) return outcome.payment?.status;
  return payment?.display?.title;
}
