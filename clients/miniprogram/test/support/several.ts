import assert from 'node:assert/strict';
import { watchPayments, type Outcomes, type Several, type SeveralOptions, type Update } from '../../src/several';
import type { Connection, WatchError } from '../../src/types';
import { URL } from './page';
import { ticketFor } from './service';
import type { World } from './world';

/** A page that watches several orders and writes down what it is told. */
export interface SeveralPage {
  several: Several;
  updates: Update[];
  errors: (WatchError & { orderId: string })[];
  late: string[];
  connections: (Connection & { orderId: string })[];
  outcomes(): Outcomes | undefined;
}

/** `o1`, `o2` and so on. */
export const ids = (count: number): string[] => Array.from({ length: count }, (_, i) => `o${i + 1}`);

export function openSeveral(world: World, options: Partial<SeveralOptions> & { orderIds: string[] }): SeveralPage {
  let outcomes: Outcomes | undefined;
  const page: SeveralPage = {
    updates: [],
    errors: [],
    late: [],
    connections: [],
    outcomes: () => outcomes,
    several: watchPayments({
      url: URL,
      ticket: (orders) => ticketFor('t', ...orders),
      adapter: world.platform,
      onError: (error) => void page.errors.push(error),
      onConnection: (connection) => void page.connections.push(connection),
      onLate: ({ orderId }) => void page.late.push(orderId),
      ...options,
      onUpdate(update) {
        assert.equal(outcomes, undefined, 'told after the end');
        page.updates.push(update);
        options.onUpdate?.(update);
      },
    }),
  };
  page.several.result.then((all) => (outcomes = all));
  return page;
}
