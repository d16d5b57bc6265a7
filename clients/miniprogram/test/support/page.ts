import assert from 'node:assert/strict';
import type { Connection, FinalPayment, Outcome, Payment, TicketSource, WatchError } from '../../src/types';
import { watch, type Watch } from '../../src/watch';
import { ticketFor } from './service';
import type { World } from './world';

/** A page that watches one order and writes down what it is told. */
export interface Page {
  watch: Watch;
  changes: Payment[];
  connections: Connection[];
  errors: WatchError[];
  late: number;
  outcome(): Outcome | undefined;
  transport(): Connection['transport'];
}

export const URL = 'https://pay.example';

/** Runs what makes functions of the page's throw, and answers what they threw: it is shown as nobody's. */
export async function thrown(run: () => Promise<void>): Promise<string[]> {
  const errors: string[] = [];
  const collect = (error: unknown): void => void errors.push((error as Error).message);
  const listeners = process.listeners('unhandledRejection');
  process.removeAllListeners('unhandledRejection');
  process.on('unhandledRejection', collect);
  try {
    await run();
  } finally {
    process.off('unhandledRejection', collect);
    listeners.forEach((listener) => process.on('unhandledRejection', listener));
  }
  return errors;
}

export function openPage(world: World, options: { orderId?: string; ticket?: TicketSource; giveUpAfterMs?: number; lateAfterMs?: number; after?: number; signal?: AbortSignal; onChange?(payment: Payment): void } = {}): Page {
  const orderId = options.orderId || 'o1';
  let stopped = false;
  let outcome: Outcome | undefined;
  const told = (): void => assert.ok(!stopped && !outcome, 'the page is told something after the end');
  options.signal?.addEventListener('abort', () => (stopped = true));
  const page: Page = {
    changes: [],
    connections: [],
    errors: [],
    late: 0,
    outcome: () => outcome,
    transport: () => page.connections.at(-1)?.transport ?? null,
    watch: watch(
      {
        url: URL,
        orderId,
        ticket: options.ticket ?? ticketFor('t', orderId),
        giveUpAfterMs: options.giveUpAfterMs,
        lateAfterMs: options.lateAfterMs,
        onLate() {
          told();
          page.late++;
        },
        onError(error) {
          told();
          page.errors.push(error);
        },
        after: options.after,
        signal: options.signal,
        onChange(payment) {
          told();
          assert.ok(payment.version > (page.changes.at(-1)?.version ?? 0), 'versions go backward');
          page.changes.push(payment);
          options.onChange?.(payment);
        },
        onConnection(connection) {
          told();
          page.connections.push(connection);
        },
      },
      world.platform,
    ),
  };
  const { stop } = page.watch;
  page.watch.stop = () => {
    stopped = true;
    stop();
  };
  page.watch.result.then((settled) => {
    assert.equal(outcome, undefined, 'settled twice');
    outcome = settled;
  });
  return page;
}

/** Runs on for a while: nothing may be left, and nothing may come. */
export async function assertQuiet(world: World): Promise<void> {
  await world.advance(0);
  const before = { ...world.counts };
  // A socket that was still opening can be closed only once it is open.
  await world.advance(10_000);
  assert.deepEqual(world.live(), []);
  await world.advance(200_000);
  assert.deepEqual(world.counts, before, 'something was started after the end');
}

export const final = (outcome: Outcome | undefined): FinalPayment | undefined => (outcome?.final ? outcome : undefined);

export const ended = (outcome: Outcome | undefined, how: 'timedOut' | 'stopped' | 'refused'): boolean => !!outcome && !!outcome[how];
