import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertQuiet, ended, final, thrown, openPage } from '../support/page';
import { createService } from '../support/service';
import { createWorld } from '../support/world';

test('tells each newer state, acknowledges it, and settles with the final one', async () => {
  const service = createService();
  const world = createWorld(service);
  const page = openPage(world);
  await world.advance(500);
  assert.equal(page.transport(), 'socket');
  service.publish('o1', 'processing');
  await world.advance(500);
  service.publish('o1', 'succeeded');
  await world.until(() => !!page.outcome(), 1000);
  assert.deepEqual(page.changes.map(({ status }) => status), ['processing', 'succeeded']);
  assert.equal(final(page.outcome())?.status, 'succeeded');
  await assertQuiet(world);
  assert.deepEqual(service.acks, [
    { order_id: 'o1', version: 1, over: 'socket' },
    { order_id: 'o1', version: 2, over: 'socket' },
  ]);
});

test('an order that nobody knows yet is no error', async () => {
  const service = createService();
  const world = createWorld(service);
  const page = openPage(world);
  await world.advance(30_000);
  assert.deepEqual(page.changes, []);
  service.publish('o1', 'failed');
  await world.until(() => !!page.outcome(), 1000);
  assert.equal(final(page.outcome())?.status, 'failed');
  await assertQuiet(world);
});

test('asks at once, before any socket is open', async () => {
  const service = createService();
  service.publish('o1', 'succeeded');
  const world = createWorld(service);
  world.weather.sockets = 'never';
  const page = openPage(world);
  await world.until(() => !!page.outcome(), 200);
  assert.deepEqual(service.requests, ['GET /v1/payments/o1', 'POST /v1/payments/o1/ack']);
  await assertQuiet(world);
});

test('an adapter that answers before it returns', async () => {
  const service = createService();
  service.publish('o1', 'succeeded');
  const world = createWorld(service);
  world.platform.request = (request, done) => void service.http(request, done, () => () => {});
  const page = openPage(world);
  await assertQuiet(world);
  assert.equal(page.outcome()?.final, true);
  assert.equal(world.counts.connects, 0);
});

test('the acknowledgement follows onChange, never comes before it', async () => {
  const service = createService();
  const world = createWorld(service);
  let acksAtChange = -1;
  const page = openPage(world, { onChange: () => (acksAtChange = service.acks.length) });
  await world.advance(500);
  service.publish('o1', 'succeeded');
  await world.until(() => !!page.outcome(), 1000);
  await world.advance(100);
  assert.equal(acksAtChange, 0);
  assert.equal(service.acks.length, 1);
});

test('an acknowledgement that the socket does not take goes by HTTP', async () => {
  const service = createService();
  const world = createWorld(service);
  const page = openPage(world, { onChange: () => (world.weather.sends = 'fail') });
  await world.advance(500);
  service.publish('o1', 'succeeded');
  await world.until(() => !!page.outcome(), 1000);
  assert.deepEqual(service.acks, [{ order_id: 'o1', version: 1, over: 'http' }]);
  await assertQuiet(world);
});

test('a page whose onChange throws has not shown it: no acknowledgement, but the result all the same', async () => {
  const service = createService();
  const world = createWorld(service);
  const errors = await thrown(async () => {
    const page = openPage(world, {
      onChange() {
        throw new Error('the page is broken');
      },
    });
    await world.advance(500);
    service.publish('o1', 'processing');
    await world.advance(500);
    world.cutAll();
    await world.advance(5000);
    service.publish('o1', 'succeeded');
    await world.until(() => !!page.outcome(), 1000);
    await assertQuiet(world);
    assert.deepEqual(service.acks, []);
  });
  assert.equal(errors[0], 'the page is broken');
});

test('what a request brought is acknowledged by one: the socket may only seem to be there', async () => {
  const service = createService();
  const world = createWorld(service);
  const page = openPage(world);
  await world.advance(500);
  assert.equal(page.transport(), 'socket');
  world.cutAll('silent');
  service.publish('o1', 'succeeded');
  world.background();
  await world.advance(1000);
  world.foreground();
  await world.until(() => !!page.outcome(), 2000);
  assert.deepEqual(service.acks, [{ order_id: 'o1', version: 1, over: 'http' }]);
  await assertQuiet(world);
});

test('stop before the end settles as stopped, and nothing is told or runs after it', async () => {
  const service = createService();
  const world = createWorld(service);
  const page = openPage(world);
  await world.advance(500);
  const shown = service.publish('o1', 'processing');
  await world.advance(500);
  page.watch.stop();
  page.watch.stop();
  service.publish('o1', 'succeeded');
  await world.advance(100);
  assert.deepEqual(page.outcome(), { stopped: true, final: false, payment: shown });
  assert.equal(page.changes.length, 1);
  await assertQuiet(world);
});

test('stop at once: nothing is begun', async () => {
  const world = createWorld(createService());
  const page = openPage(world);
  page.watch.stop();
  await assertQuiet(world);
  assert.deepEqual(world.counts, { connects: 0, requests: 0 });
  assert.ok(ended(page.outcome(), 'stopped'));
});

test('stop while the socket is opening: it is closed when it opens', async () => {
  const world = createWorld(createService());
  const page = openPage(world);
  await world.advance(1);
  assert.equal(world.counts.connects, 1);
  page.watch.stop();
  await assertQuiet(world);
  assert.ok(ended(page.outcome(), 'stopped'));
});

test('stop from within onChange and onConnection', async () => {
  const service = createService();
  service.publish('o1', 'succeeded');
  const world = createWorld(service);
  const page = openPage(world, { onChange: () => page.watch.stop() });
  await assertQuiet(world);
  assert.equal(page.changes.length, 1);
  // It knew the final state when it was stopped.
  assert.ok(page.outcome());
});

test('the deadline: one last look, then timedOut, never a failure', async () => {
  const service = createService();
  const world = createWorld(service);
  const page = openPage(world, { giveUpAfterMs: 20_000 });
  await world.advance(500);
  const shown = service.publish('o1', 'processing');
  await world.advance(19_400);
  assert.equal(page.outcome(), undefined);
  service.requests.length = 0;
  await world.advance(1000);
  assert.deepEqual(page.outcome(), { timedOut: true, final: false, payment: shown });
  assert.deepEqual(service.requests, ['GET /v1/payments/o1']);
  await assertQuiet(world);
});

test('the last look finds what no transport brought', async () => {
  const service = createService();
  const world = createWorld(service);
  world.weather.sockets = 'never';
  world.weather.http = 'hang';
  const page = openPage(world, { giveUpAfterMs: 20_000 });
  service.publish('o1', 'succeeded');
  await world.advance(19_900);
  world.weather.http = 'work';
  await world.until(() => !!page.outcome(), 5000);
  assert.equal(page.outcome()?.final, true);
  await assertQuiet(world);
});

test('the last look tries again within its five seconds', async () => {
  const service = createService();
  const world = createWorld(service);
  world.weather.sockets = 'refused';
  world.weather.http = 'fail';
  const page = openPage(world, { giveUpAfterMs: 20_000 });
  service.publish('o1', 'succeeded');
  await world.advance(22_000);
  assert.equal(page.outcome(), undefined);
  world.weather.http = 'work';
  await world.until(() => !!page.outcome(), 2000);
  assert.equal(page.outcome()?.final, true);
  await assertQuiet(world);
});

test('deadlines go by the clock: a clock that is set back does not stretch them', async () => {
  const world = createWorld(createService());
  const page = openPage(world, { giveUpAfterMs: 20_000 });
  await world.advance(10_000);
  world.setClock(-3_600_000);
  await world.advance(30_000);
  assert.ok(ended(page.outcome(), 'timedOut'));
  await assertQuiet(world);
});

test('a late answer with an older version is not told', async () => {
  const service = createService();
  const world = createWorld(service);
  service.publish('o1', 'pending');
  const page = openPage(world);
  // The snapshot's answer was on its way when the newer state came over the socket.
  world.weather.latencyMs = () => 20;
  await world.advance(45);
  world.weather.latencyMs = () => 1;
  service.publish('o1', 'processing');
  await world.advance(2000);
  assert.equal(page.changes.at(-1)?.status, 'processing');
  page.watch.stop();
  await assertQuiet(world);
});

test('a store made anew: its final state is the result, but onChange never goes backward', async () => {
  for (const sockets of ['work', 'refused'] as const) {
    const service = createService();
    const world = createWorld(service);
    world.weather.sockets = sockets;
    const page = openPage(world);
    await world.advance(500);
    for (let i = 0; i < 5; i++) service.publish('o1', 'processing');
    await world.advance(5000);
    assert.equal(page.changes.at(-1)?.version, 5);
    service.reset();
    world.cutAll();
    await world.advance(5000);
    service.publish('o1', 'pending');
    await world.advance(40_000);
    service.publish('o1', 'succeeded');
    await world.until(() => !!page.outcome(), 20_000);
    assert.equal(final(page.outcome())?.version, 2);
    assert.equal(page.changes.at(-1)?.version, 5);
    await assertQuiet(world);
  }
});

test('without callbacks the result is enough', async () => {
  const service = createService();
  const world = createWorld(service);
  const { watch } = await import('../../src/watch');
  const result = watch({ url: 'wss://pay.example/', orderId: 'a|b@c*', ticket: 'a|b@c*:t' }, world.platform).result;
  await world.advance(500);
  service.publish('a|b@c*', 'succeeded');
  await world.advance(500);
  assert.equal((await result).final, true);
  assert.equal(service.requests[0], 'GET /v1/payments/a%7Cb%40c*');
  await assertQuiet(world);
});

for (const sockets of ['work', 'refused'] as const) {
  test(`what the page has from an earlier watch is neither told nor the result (sockets: ${sockets})`, async () => {
    const service = createService();
    const { version } = service.publish('o1', 'failed');
    const world = createWorld(service);
    world.weather.sockets = sockets;
    const page = openPage(world, { after: version });
    await world.advance(20_000);
    assert.deepEqual([page.changes, page.outcome(), service.acks], [[], undefined, []]);
    service.publish('o1', 'succeeded');
    await world.until(() => !!page.outcome(), 1000);
    assert.deepEqual(page.changes.map(({ status }) => status), ['succeeded']);
    assert.equal(final(page.outcome())?.version, version + 1);
    await assertQuiet(world);
  });
}

test('what the page has already is not found by the last look either', async () => {
  const service = createService();
  const { version } = service.publish('o1', 'failed');
  const world = createWorld(service);
  const page = openPage(world, { after: version, giveUpAfterMs: 1000 });
  await world.until(() => !!page.outcome(), 2000);
  assert.deepEqual(page.outcome(), { timedOut: true, final: false, payment: null });
  await assertQuiet(world);
});
