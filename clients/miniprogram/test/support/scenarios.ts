import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, afterEach, before, describe, test } from 'node:test';
import { watchPayment, type Connection, type Outcome, type Payment, type TicketSource, type Watch } from '../../miniprogram_dist/index.js';
import { watchPayments } from '../../miniprogram_dist/several.js';
import type { Proxy } from './proxy';
import { createDevice, KINDS, type Device, type Kind } from './shim';

/** A service that runs, behind a proxy. */
export interface Backend {
  url: string;
  proxy: Proxy;
  publish(orderId: string, status: string): Promise<void>;
  ticket(orderId: string | string[], ttlS: number): string;
  acknowledged(orderId: string): Promise<boolean>;
  /** Ends it and starts it again. */
  restart(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  close(): Promise<void>;
}

interface Page {
  watch: Watch;
  changes: Payment[];
  connections: Connection[];
  connected(transport?: string): Promise<void>;
  outcome(withinMs: number): Promise<Outcome>;
}

interface ClientOptions {
  url: string;
  orderId: string;
  ticket: TicketSource;
  giveUpAfterMs?: number;
  onChange(payment: Payment): void;
  onConnection(connection: Connection): void;
}

/** Whoever waits for a payment on a device. */
type Client = (device: Device, options: ClientOptions) => Watch;

const sdk: Client = (device, options) => watchPayment({ ...options, adapter: device.platform });

/** The client of `examples/by-hand`, which takes `wx`, the clock and the timers from its surroundings. */
const byHand: Client = ({ api, platform }, { ticket, ...options }) => {
  const names = {
    wx: api,
    Date: { now: platform.now },
    setTimeout: (run: () => void, ms: number) => platform.setTimer(run, ms),
    clearTimeout: (timer: unknown) => platform.clearTimer(timer),
    module: { exports: {} as { waitForPayment(options: ClientOptions): Watch } },
  };
  new Function(...Object.keys(names), readFileSync('../../examples/by-hand/client.js', 'utf8'))(...Object.values(names));
  return names.module.exports.waitForPayment({ ...options, ticket: typeof ticket === 'string' ? () => ticket : ticket });
};

let orders = 0;

async function until(what: string, condition: () => boolean | Promise<boolean>, withinMs = 20_000): Promise<void> {
  const end = Date.now() + withinMs;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const opened = new Map<Backend, Page[]>();

function openWith(client: Client, device: Device, backend: Backend, orderId: string, options: { ticket?: TicketSource; giveUpAfterMs?: number } = {}): Page {
  const page: Page = {
    changes: [],
    connections: [],
    connected: (transport = 'socket') => until(`connected by ${transport}`, () => page.connections.at(-1)?.transport === transport, 20_000),
    async outcome(withinMs) {
      let outcome: Outcome | undefined;
      page.watch.result.then((settled) => (outcome = settled));
      await until('the outcome', () => !!outcome, withinMs);
      // What was closed needs a moment to be gone.
      await until(`quiet, but ${device.live()}`, () => !device.live().length, 15_000);
      return outcome!;
    },
    watch: client(device, {
      url: backend.url,
      orderId,
      ticket: options.ticket ?? backend.ticket(orderId, 600),
      giveUpAfterMs: options.giveUpAfterMs,
      onChange: (payment) => page.changes.push(payment),
      onConnection: (connection) => page.connections.push(connection),
    }),
  };
  opened.set(backend, [...(opened.get(backend) || []), page]);
  return page;
}

function assertSucceeded(page: Page, outcome: Outcome): void {
  assert.ok(outcome.final && outcome.status === 'succeeded', JSON.stringify(outcome));
  assert.equal(page.changes.filter((change) => change.final).length, 1);
  const versions = page.changes.map(({ version }) => version);
  assert.deepEqual(versions, [...new Set(versions)].sort((a, b) => a - b));
}

/** What every platform must come through, whatever service stands behind. */
export function runScenarios(start: () => Promise<Backend>): void {
  describe('platforms', { concurrency: KINDS.length + 1 }, () => {
    for (const kind of KINDS) describe(kind, { concurrency: 1 }, () => scenarios(kind, start, sdk));
    describe('by hand', { concurrency: 1 }, () => scenarios('wx', start, byHand));
  });
}

function scenarios(kind: Kind, start: () => Promise<Backend>, client: Client): void {
  let backend: Backend;
  before(async () => {
    backend = await start();
  });
  // A page of a test that failed would wait on.
  afterEach(() => opened.get(backend)?.splice(0).forEach((page) => page.watch.stop()));
  after(() => backend.close());
  const open = (...rest: Parameters<typeof openWith> extends [Client, ...infer Rest] ? Rest : never): Page => openWith(client, ...rest);
  const newOrder = (): string => `${kind}-${process.pid}-${orders++}`;

  test('pays: each state is told, the result acknowledged, nothing is left', async () => {
    const orderId = newOrder();
    const page = open(createDevice(kind), backend, orderId);
    await page.connected();
    await backend.publish(orderId, 'processing');
    await until('processing', () => page.changes.length === 1);
    await backend.publish(orderId, 'succeeded');
    assertSucceeded(page, await page.outcome(15_000));
    assert.deepEqual(page.changes.map(({ status }) => status), ['processing', 'succeeded']);
    await until('the acknowledgement', () => backend.acknowledged(orderId));
  });

  test('the result was there before the page', async () => {
    const orderId = newOrder();
    await backend.publish(orderId, 'succeeded');
    const page = open(createDevice(kind), backend, orderId);
    assertSucceeded(page, await page.outcome(15_000));
  });

  test('the socket is cut in mid-frame', async () => {
    const orderId = newOrder();
    const page = open(createDevice(kind), backend, orderId);
    await page.connected();
    backend.proxy.cutMidFrame();
    await backend.publish(orderId, 'processing');
    await until('processing', () => page.changes.length === 1);
    await page.connected();
    assert.ok(page.connections.at(-1)!.reconnects >= 1);
    await backend.publish(orderId, 'succeeded');
    assertSucceeded(page, await page.outcome(15_000));
  });

  if (client === sdk) {
    test('twenty orders in one call: one socket, which is cut, and no frame too many', async () => {
      const device = createDevice(kind);
      const orderIds = Array.from({ length: 20 }, newOrder);
      const reconnects = new Map<string, number>();
      const { result } = watchPayments({
        url: backend.url,
        orderIds,
        ticket: backend.ticket(orderIds, 600),
        adapter: device.platform,
        onConnection: (connection) => void (connection.transport === 'socket' && reconnects.set(connection.orderId, connection.reconnects)),
      });
      const connected = (times: number): Promise<void> =>
        until('connected', () => reconnects.size === 20 && [...reconnects.values()].every((each) => each === times), 20_000);
      await connected(0);
      assert.equal(device.live().filter((name) => name.startsWith('socket')).length, 1);
      backend.proxy.cutMidFrame();
      await backend.publish(orderIds[0]!, 'processing');
      await connected(1);
      await Promise.all(orderIds.map((orderId) => backend.publish(orderId, 'succeeded')));
      const { final, outcomes } = await result;
      assert.ok(final);
      assert.deepEqual(Object.keys(outcomes), orderIds);
      assert.deepEqual([...reconnects.values()], orderIds.map(() => 1));
      await until('the acknowledgement', () => backend.acknowledged(orderIds[19]!));
      await until(`quiet, but ${device.live()}`, () => !device.live().length, 15_000);
    });
  }

  for (const tellsCloseOnReturn of [true, false]) {
    test(`10 s in the background, onClose ${tellsCloseOnReturn ? 'late' : 'never'}`, async () => {
      const orderId = newOrder();
      const device = createDevice(kind, { tellsCloseOnReturn });
      const page = open(device, backend, orderId);
      await page.connected();
      device.background();
      await backend.publish(orderId, 'processing');
      await new Promise((resolve) => setTimeout(resolve, 300));
      assert.equal(page.changes.length, 0);
      device.foreground(10_000);
      await until('processing', () => page.changes.length === 1);
      await page.connected();
      await backend.publish(orderId, 'succeeded');
      assertSucceeded(page, await page.outcome(15_000));
    });
  }

  test('it is given up in the background, and the payment ends there too', async () => {
    const orderId = newOrder();
    const device = createDevice(kind, { tellsCloseOnReturn: false });
    const page = open(device, backend, orderId, { giveUpAfterMs: 90_000 });
    await page.connected();
    device.background();
    await backend.publish(orderId, 'succeeded');
    await new Promise((resolve) => setTimeout(resolve, 500));
    device.foreground(300_000);
    assertSucceeded(page, await page.outcome(15_000));
  });

  test('the ticket runs out while the page waits', async () => {
    const orderId = newOrder();
    let fetched = 0;
    const page = open(createDevice(kind), backend, orderId, { ticket: async () => backend.ticket(orderId, fetched++ ? 600 : 2) });
    await page.connected();
    await until('another ticket', () => fetched === 2);
    await page.connected();
    await backend.publish(orderId, 'succeeded');
    assertSucceeded(page, await page.outcome(15_000));
  });

  test('a ticket that runs out and cannot be replaced', async () => {
    const orderId = newOrder();
    const page = open(createDevice(kind), backend, orderId, { ticket: backend.ticket(orderId, 2) });
    const outcome = await page.outcome(30_000);
    assert.ok(outcome.refused === 'ticket_expired', JSON.stringify(outcome));
  });

  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    test(`the service is restarted by ${signal}`, async () => {
      const orderId = newOrder();
      const page = open(createDevice(kind), backend, orderId);
      await page.connected();
      await backend.restart(signal);
      await backend.publish(orderId, 'succeeded');
      assertSucceeded(page, await page.outcome(30_000));
    });
  }

  test('a proxy forbids WebSocket', async () => {
    const orderId = newOrder();
    backend.proxy.forbidsSockets = true;
    try {
      const page = open(createDevice(kind), backend, orderId);
      await page.connected('long_poll');
      await backend.publish(orderId, 'processing');
      await until('processing', () => page.changes.length === 1);
      await backend.publish(orderId, 'succeeded');
      assertSucceeded(page, await page.outcome(15_000));
      await until('the acknowledgement', () => backend.acknowledged(orderId));
    } finally {
      backend.proxy.forbidsSockets = false;
    }
  });

  test('nothing comes: timed out, not failed; then stopped', async () => {
    const orderId = newOrder();
    const timedOut = await open(createDevice(kind), backend, orderId, { giveUpAfterMs: 1500 }).outcome(15_000);
    assert.deepEqual(timedOut, { timedOut: true, final: false, payment: null });
    const page = open(createDevice(kind), backend, orderId);
    await page.connected();
    page.watch.stop();
    assert.deepEqual(await page.outcome(1000), { stopped: true, final: false, payment: null });
  });
}
