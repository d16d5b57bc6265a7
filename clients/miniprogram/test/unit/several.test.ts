import assert from 'node:assert/strict';
import { test } from 'node:test';
import { watchPayments, type SeveralOptions } from '../../src/several';
import { assertQuiet, openPage, URL } from '../support/page';
import { seeded } from '../support/random';
import { createService, ticketFor } from '../support/service';
import { ids, openSeveral as open } from '../support/several';
import { createWorld, type World } from '../support/world';

/** The most requests that were under way at once. */
function countRequests(world: World): () => number {
  const { request } = world.platform;
  let running = 0;
  let most = 0;
  world.platform.request = (asked, done) => {
    most = Math.max(most, ++running);
    let over = false;
    const end = (): void => {
      if (!over) running--;
      over = true;
    };
    const cancel = request(asked, (response) => (end(), done(response)));
    return () => (end(), cancel && cancel());
  };
  return () => most;
}

test('20 orders: one ticket, one socket, one subscribe frame, each acknowledged once, and the outcome of all', async () => {
  const service = createService();
  const world = createWorld(service);
  const most = countRequests(world);
  const orderIds = ids(20);
  let fetched = 0;
  const page = open(world, { orderIds, ticket: (orders) => ticketFor(`t${fetched++}`, ...orders) });
  await world.advance(2000);
  assert.deepEqual([fetched, world.counts.connects], [1, 1]);
  assert.deepEqual(service.frames.map(({ type }) => type), ['subscribe']);
  assert.ok(most() <= 5, String(most()));
  orderIds.forEach((orderId, i) => service.publish(orderId, i % 2 ? 'failed' : 'succeeded'));
  await world.until(() => !!page.outcomes(), 2000);
  const all = page.outcomes()!;
  assert.ok(all.final);
  assert.deepEqual(Object.values(all.outcomes).map(({ status }) => status), orderIds.map((_, i) => (i % 2 ? 'failed' : 'succeeded')));
  for (const orderId of orderIds) {
    assert.deepEqual(page.updates.filter((update) => update.orderId === orderId).map((update) => (update.over ? update.outcome.final : update.payment.status)), [
      orderIds.indexOf(orderId) % 2 ? 'failed' : 'succeeded',
      true,
    ]);
  }
  await assertQuiet(world);
  assert.deepEqual(service.acks.map(({ order_id }) => order_id).sort(), [...orderIds].sort());
  assert.ok(service.frames.length <= 40, `${service.frames.length} frames, more than the service takes at once`);
});

test('sockets refused: at most five requests at once, and each of 20 orders has its turn within ten seconds', async () => {
  const service = createService();
  const world = createWorld(service);
  world.weather.sockets = 'refused';
  const most = countRequests(world);
  const orderIds = ids(20);
  const page = open(world, { orderIds });
  await world.advance(30_000);
  service.publish('o20', 'processing');
  await world.until(() => page.updates.length === 1, 10_000);
  orderIds.forEach((orderId) => service.publish(orderId, 'succeeded'));
  await world.until(() => !!page.outcomes(), 20_000);
  assert.ok(page.outcomes()!.final);
  assert.ok(most() <= 10, String(most()));
  await assertQuiet(world);
});

test('a ticket that lacks one of the orders ends that one, and no other', async () => {
  const service = createService();
  const world = createWorld(service);
  const page = open(world, { orderIds: ids(3), ticket: ticketFor('t', 'o1', 'o3') });
  await world.until(() => page.updates.some(({ over }) => over), 20_000);
  service.publish('o1', 'succeeded');
  service.publish('o3', 'canceled');
  await world.until(() => !!page.outcomes(), 2000);
  const { final, outcomes } = page.outcomes()!;
  assert.equal(final, false);
  assert.deepEqual(Object.values(outcomes).map((each) => (each.final ? each.status : each.refused)), ['succeeded', 'forbidden', 'canceled']);
  assert.equal(world.counts.connects, 1);
  await assertQuiet(world);
});

test('a ticket that runs out is fetched once for all, and so is one that fails or hangs', async () => {
  const service = createService();
  const world = createWorld(service);
  const orderIds = ids(6);
  let fetched = 0;
  const page = open(world, {
    orderIds,
    ticket(orders) {
      fetched++;
      if (fetched === 3) return Promise.reject(new Error('shop is down'));
      if (fetched === 4) return new Promise(() => {});
      return ticketFor(`t${fetched}`, ...orders);
    },
  });
  await world.advance(5000);
  service.expireNow(ticketFor('t1', ...orderIds));
  await world.advance(5000);
  assert.equal(fetched, 2);
  assert.equal(world.counts.connects, 1);
  service.expireNow(ticketFor('t2', ...orderIds));
  await world.advance(60_000);
  assert.ok(fetched <= 8, String(fetched));
  orderIds.forEach((orderId) => service.publish(orderId, 'succeeded'));
  await world.until(() => !!page.outcomes(), 5000);
  assert.ok(page.outcomes()!.final);
  assert.deepEqual([...new Set(page.errors.map(({ error }) => error.code))], ['ticket_failed']);
  await assertQuiet(world);
});

test('stopped one by one, by stop() and by a signal; a signal that was aborted before begins nothing', async () => {
  const service = createService();
  const world = createWorld(service);
  const control = new AbortController();
  const page = open(world, { orderIds: ids(3), signal: control.signal, lateAfterMs: 1500 });
  await world.advance(1000);
  page.several.stop('o2');
  page.several.stop('o9');
  await world.advance(1000);
  assert.deepEqual(page.late, ['o1', 'o3']);
  service.publish('o2', 'succeeded');
  service.publish('o1', 'succeeded');
  await world.advance(100);
  assert.equal(page.outcomes(), undefined);
  control.abort();
  await world.advance(0);
  const { final, outcomes } = page.outcomes()!;
  assert.equal(final, false);
  assert.deepEqual(Object.values(outcomes).map((each) => (each.final ? each.status : each.stopped)), ['succeeded', true, true]);
  assert.deepEqual(page.updates.map(({ orderId }) => orderId), ['o1', 'o1']);
  await assertQuiet(world);

  const other = createWorld(createService());
  const stopped = open(other, { orderIds: ids(2), signal: control.signal });
  await assertQuiet(other);
  assert.equal(stopped.outcomes()?.final, false);
  assert.deepEqual(other.counts, { connects: 0, requests: 0 });
});

test('a fetch that hangs costs no order its last look, whichever of them asked', async () => {
  for (let giveUpAfterMs = 15_000; giveUpAfterMs < 60_000; giveUpAfterMs += 1500) {
    const service = createService();
    const world = createWorld(service, seeded(giveUpAfterMs));
    // Over a socket one order's ticket would serve the others too.
    world.weather.sockets = 'refused';
    let hangs = false;
    const page = open(world, {
      orderIds: ids(4),
      giveUpAfterMs,
      ticket: (orders) => (hangs ? new Promise(() => {}) : ticketFor('t', ...orders)),
    });
    await world.advance(1000);
    hangs = true;
    service.expireNow(ticketFor('t', ...ids(4)));
    await world.advance(giveUpAfterMs - 1300);
    ids(4).forEach((orderId) => service.publish(orderId, 'succeeded'));
    service.expired.clear();
    hangs = false;
    await world.until(() => !!page.outcomes(), 6000);
    assert.ok(page.outcomes()!.final, `given up after ${giveUpAfterMs} ms`);
    await assertQuiet(world);
  }
});

test('a signal is let go of, in the end and where nothing begins', async () => {
  const world = createWorld(createService());
  const listeners = new Set<() => void>();
  const signal = { aborted: false, addEventListener: (_: string, run: () => void) => void listeners.add(run), removeEventListener: (_: string, run: () => void) => void listeners.delete(run) };
  const page = open(world, { orderIds: ids(2), signal });
  await world.advance(1000);
  assert.equal(listeners.size, 1);
  page.several.stop();
  await assertQuiet(world);
  assert.throws(() => open(world, { orderIds: ['o 1'], signal }), /option orderId/);
  assert.equal(listeners.size, 0);
});

test('they share the socket with a watch of the page, and an onUpdate that throws acknowledges nothing and stops nothing', async () => {
  const service = createService();
  const world = createWorld(service);
  const thrown: unknown[] = [];
  const listener = (error: unknown): void => void thrown.push(error);
  const listeners = process.listeners('unhandledRejection');
  process.removeAllListeners('unhandledRejection');
  process.on('unhandledRejection', listener);
  try {
    const single = openPage(world, { orderId: 'o7' });
    const page = open(world, {
      orderIds: ids(2),
      onUpdate({ orderId }) {
        if (orderId === 'o1') throw new Error('the page is broken');
      },
    });
    await world.advance(1000);
    ['o1', 'o2', 'o7'].forEach((orderId) => service.publish(orderId, 'succeeded'));
    await world.until(() => !!page.outcomes() && !!single.outcome(), 3000);
    assert.ok(page.outcomes()!.final);
    assert.equal(world.counts.connects, 1);
    assert.deepEqual(single.errors, []);
    await assertQuiet(world);
    assert.deepEqual(service.acks.map(({ order_id }) => order_id).sort(), ['o2', 'o7']);
    assert.equal(thrown.length, 2);
  } finally {
    process.removeAllListeners('unhandledRejection');
    listeners.forEach((each) => process.on('unhandledRejection', each));
  }
});

test('what the page has already is neither told nor a result', async () => {
  const service = createService();
  const world = createWorld(service);
  const { version } = service.publish('o1', 'failed');
  service.publish('o2', 'failed');
  const page = open(world, { orderIds: ids(2), after: { o1: version } });
  await world.advance(2000);
  assert.deepEqual(page.updates.map(({ orderId }) => orderId), ['o2', 'o2']);
  service.publish('o1', 'succeeded');
  await world.until(() => !!page.outcomes(), 1000);
  assert.ok(page.outcomes()!.final);
  await assertQuiet(world);
});

const GOOD = { url: URL, orderIds: ['o1', 'o2'], ticket: 't' };
const OPTIONS: [string, unknown, RegExp][] = [
  ['none', undefined, /option orderIds: 1 to 20 order numbers, each once/],
  ['no order', { ...GOOD, orderIds: [] }, /option orderIds/],
  ['one as text', { ...GOOD, orderIds: 'o1' }, /option orderIds/],
  ['21 orders', { ...GOOD, orderIds: ids(21) }, /option orderIds/],
  ['the same order twice', { ...GOOD, orderIds: ['o1', 'o1'] }, /option orderIds/],
  ['an order that is none', { ...GOOD, orderIds: ['o1', 'o 2'] }, /option orderId: 1 to 64/],
  ['orderId too', { ...GOOD, orderId: 'o1' }, /option orderId: unknown/],
  ['onChange', { ...GOOD, onChange() {} }, /option onChange: unknown/],
  ['onUpdate that is none', { ...GOOD, onUpdate: 'show' }, /option onUpdate/],
  ['a version for all', { ...GOOD, after: 2 }, /option after: versions by order/],
  ['a version that is none', { ...GOOD, after: { o2: '2' } }, /option after/],
  ['no number as a version', { ...GOOD, after: { o2: NaN } }, /option after/],
  ['no number until late', { ...GOOD, lateAfterMs: NaN }, /option lateAfterMs/],
  ['no number until given up', { ...GOOD, giveUpAfterMs: NaN }, /option giveUpAfterMs/],
  ['an unknown option', { ...GOOD, deadlineMs: 1 }, /option deadlineMs: unknown/],
  ['no ticket', { ...GOOD, ticket: undefined }, /option ticket/],
  ['a signal that is none', { ...GOOD, signal: {} }, /addEventListener/],
];

for (const [name, options, sentence] of OPTIONS) {
  test(`options of several, ${name}: thrown at once, and nothing is begun`, async () => {
    const world = createWorld(createService());
    const given = options && { ...(options as object), adapter: world.platform };
    assert.throws(() => watchPayments(given as SeveralOptions), (error: Error) => error instanceof TypeError && sentence.test(error.message));
    await assertQuiet(world);
    assert.deepEqual(world.counts, { connects: 0, requests: 0 });
  });
}
