import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertQuiet, openPage } from '../support/page';
import { createService } from '../support/service';
import { createWorld } from '../support/world';

const ROWS: { name: string; cut: 'told' | 'silent' | number; withinMs: number }[] = [
  { name: 'loss with onClose', cut: 'told', withinMs: 1500 },
  { name: 'loss with a late onClose', cut: 4000, withinMs: 6500 },
  { name: 'loss with an onClose after the heartbeat noticed it', cut: 60_000, withinMs: 30_000 },
  { name: 'loss without onClose: the heartbeat notices', cut: 'silent', withinMs: 30_000 },
];

for (const { name, cut, withinMs } of ROWS) {
  test(name, async () => {
    const service = createService();
    const world = createWorld(service);
    const page = openPage(world, { giveUpAfterMs: 200_000 });
    await world.advance(15_000);
    world.cutAll(cut);
    service.publish('o1', 'processing');
    await world.until(() => page.changes.length === 1, withinMs);
    await world.advance(70_000);
    assert.equal(page.transport(), 'socket');
    assert.equal(page.connections.at(-1)?.reconnects, 1);
    service.publish('o1', 'succeeded');
    await world.until(() => !!page.outcome(), 500);
    await assertQuiet(world);
  });
}

test('a refused socket: the ladder answers at once, and the socket is tried again and taken when it works', async () => {
  const service = createService();
  const world = createWorld(service);
  world.weather.sockets = 'refused';
  const page = openPage(world);
  await world.until(() => page.transport() === 'long_poll', 1500);
  world.weather.sockets = 'work';
  await world.until(() => page.transport() === 'socket', 21_000);
  service.requests.length = 0;
  await world.advance(20_000);
  assert.deepEqual(service.requests, [], 'the ladder went on beside the socket');
  assert.ok(!world.live().some((name) => name.startsWith('request')), 'the ladder was left hanging');
  service.publish('o1', 'succeeded');
  await world.until(() => !!page.outcome(), 500);
  await assertQuiet(world);
});

const SOCKETS = {
  never: 'never open',
  mute: 'open and pass nothing',
  throw: 'cannot be made',
  'at once': 'are closed before they are had',
};
for (const sockets of ['never', 'mute', 'throw', 'at once'] as const) {
  test(`sockets that ${SOCKETS[sockets]}`, async () => {
    const service = createService();
    const world = createWorld(service);
    world.weather.sockets = sockets;
    const page = openPage(world);
    await world.advance(6000);
    assert.equal(page.transport(), 'long_poll');
    assert.ok(world.counts.connects < 10);
    world.weather.sockets = 'work';
    await world.until(() => page.transport() === 'socket', 12_000);
    service.publish('o1', 'succeeded');
    await world.until(() => !!page.outcome(), 500);
    await assertQuiet(world);
  });
}

test('reconnect frames are obeyed, even when the close comes first', async () => {
  for (const [closed, afterMs] of [[false, 8000], [true, 8000], [false, 60_000]] as const) {
    const service = createService();
    const world = createWorld(service);
    const page = openPage(world);
    await world.advance(500);
    service.restart(afterMs);
    await world.advance(100);
    if (closed) world.cutAll();
    await world.advance(afterMs - 500);
    assert.equal(world.counts.connects, 1);
    await world.advance(1000);
    assert.equal(world.counts.connects, 2);
    assert.equal(page.transport(), 'socket');
    page.watch.stop();
    await assertQuiet(world);
  }
});

test('pings every twenty seconds, so that a service which drops silent pages keeps this one', async () => {
  const service = createService();
  const world = createWorld(service);
  const page = openPage(world, { giveUpAfterMs: 90_000 });
  await world.advance(65_000);
  assert.equal(service.frames.filter(({ type }) => type === 'ping').length, 3);
  assert.equal(world.counts.connects, 1);
  page.watch.stop();
  await assertQuiet(world);
});

test('pages come back with jitter and ever more slowly', async () => {
  const service = createService();
  const world = createWorld(service);
  world.weather.sockets = 'refused';
  const page = openPage(world, { giveUpAfterMs: 600_000 });
  await world.advance(60_000);
  const firstMinute = world.counts.connects;
  await world.advance(60_000);
  assert.ok(firstMinute > 5 && firstMinute < 12, String(firstMinute));
  assert.ok(world.counts.connects - firstMinute <= 6);
  page.watch.stop();
  await assertQuiet(world);
});

test('a socket that worked for a while is back within a second, however often it is lost', async () => {
  const world = createWorld(createService());
  const page = openPage(world, { giveUpAfterMs: 600_000 });
  for (let i = 0; i < 8; i++) {
    await world.advance(15_000);
    assert.equal(page.transport(), 'socket');
    world.cutAll();
    await world.until(() => page.transport() === null, 100);
    await world.until(() => page.transport() === 'socket', 1000);
  }
  page.watch.stop();
  await assertQuiet(world);
});

test('frames that are no frames are passed over', async () => {
  const service = createService();
  const world = createWorld(service);
  const page = openPage(world);
  await world.advance(500);
  for (const frame of [null, [], 'text', 7, {}, { type: 'payment' }, { type: 'payment', payment: null }, { type: 'subscribed', order_id: 'else' }])
    service.links.forEach((link) => link.send(frame as object));
  await world.advance(500);
  assert.deepEqual(page.changes, []);
  service.publish('o1', 'succeeded');
  await world.until(() => !!page.outcome(), 500);
  await assertQuiet(world);
});
