import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openChannel } from '../../src/channel';
import { watch, type Watch } from '../../src/watch';
import { assertQuiet, ended, final, openPage, thrown, URL } from '../support/page';
import { createService, ticketFor, type FakeService } from '../support/service';
import { createWorld, type World } from '../support/world';

test('several orders share one socket, which closes with the last of them', async () => {
  const service = createService();
  const world = createWorld(service);
  const pages = ['o1', 'o2', 'o3'].map((orderId) => openPage(world, { orderId }));
  await world.advance(1000);
  assert.equal(world.counts.connects, 1);
  assert.deepEqual(pages.map((page) => page.transport()), ['socket', 'socket', 'socket']);
  pages[0]!.watch.stop();
  await world.advance(100);
  assert.deepEqual(service.frames.at(-1), { type: 'unsubscribe', order_id: 'o1' });
  service.publish('o1', 'succeeded');
  service.publish('o2', 'succeeded');
  await world.until(() => !!pages[1]!.outcome(), 1000);
  assert.deepEqual(pages.map((page) => page.changes.length), [0, 1, 0]);
  assert.equal(world.live().filter((name) => name.startsWith('socket')).length, 1);
  pages[2]!.watch.stop();
  await assertQuiet(world);
});

test('two watches of one order: each is told, and the first to leave takes nothing from the other', async () => {
  const service = createService();
  const world = createWorld(service);
  const [one, two] = [openPage(world), openPage(world)];
  await world.advance(1000);
  one.watch.stop();
  await world.advance(100);
  assert.ok(!service.frames.some(({ type }) => type === 'unsubscribe'));
  service.publish('o1', 'succeeded');
  await world.until(() => !!two.outcome(), 1000);
  assert.deepEqual([one.changes.length, two.changes.length], [0, 1]);
  await assertQuiet(world);
});

test('a ticket that is refused ends its own watch, not its neighbour', async () => {
  const service = createService();
  const world = createWorld(service);
  const good = openPage(world, { orderId: 'o2' });
  const bad = openPage(world, { ticket: 'nonsense' });
  await world.until(() => !!bad.outcome(), 1000);
  assert.ok(ended(bad.outcome(), 'refused'));
  assert.equal(good.outcome(), undefined);
  service.publish('o2', 'succeeded');
  await world.until(() => !!good.outcome(), 5000);
  assert.equal(good.outcome()?.final, true);
  await assertQuiet(world);
});

test('a ticket that runs out while another watch of its order asks with its own is no answer to that one', async () => {
  const service = createService();
  const world = createWorld(service);
  let fetched = 0;
  const one = openPage(world, { ticket: () => ticketFor(`a${fetched++}`, 'o1') });
  await world.advance(1000);
  const other = openPage(world, { ticket: ticketFor('b', 'o1') });
  await world.advance(5);
  service.expireNow(ticketFor('a0', 'o1'));
  await world.advance(2000);
  assert.deepEqual([one.outcome(), other.outcome(), other.errors, fetched], [undefined, undefined, [], 2]);
  service.publish('o1', 'succeeded');
  await world.until(() => !!one.outcome() && !!other.outcome(), 1000);
  assert.ok(one.outcome()!.final && other.outcome()!.final);
  assert.equal(world.counts.connects, 1);
  await assertQuiet(world);
});

test('one ticket for several orders', async () => {
  const service = createService();
  const world = createWorld(service);
  const ticket = ticketFor('t', 'o1', 'o2');
  const pages = ['o1', 'o2'].map((orderId) => openPage(world, { orderId, ticket }));
  await world.advance(1000);
  service.publish('o2', 'succeeded');
  service.publish('o1', 'failed');
  await world.advance(1000);
  assert.deepEqual(pages.map((page) => final(page.outcome())?.status), ['failed', 'succeeded']);
  await assertQuiet(world);
});

test('a channel keeps 32 frames until the socket opens, sends them once and in order', async () => {
  const service = createService();
  const world = createWorld(service);
  world.weather.sockets = 'refused';
  const states: string[] = [];
  const frames: string[] = [];
  const line = openChannel({ url: URL, adapter: world.platform, onState: (state) => states.push(state), onFrame: (frame) => frames.push(frame.type) });
  const sent = Array.from({ length: 40 }, (_, i) => line.send({ type: 'ping', i }));
  await world.advance(1000);
  world.weather.sockets = 'work';
  await world.advance(20_000);
  assert.deepEqual(service.frames.filter((frame) => 'i' in frame).map(({ i }) => i), Array.from({ length: 32 }, (_, i) => i));
  assert.deepEqual(await Promise.all(sent), Array.from({ length: 40 }, (_, i) => i < 32));
  world.cutAll();
  await world.advance(20_000);
  assert.equal(service.frames.filter((frame) => 'i' in frame).length, 32, 'sent twice');
  assert.deepEqual([...new Set(frames)], ['pong']);
  const unsent = line.send({ type: 'ping' });
  line.close();
  line.close();
  assert.equal(await line.send({ type: 'ping' }), false);
  assert.equal(typeof (await unsent), 'boolean');
  assert.equal(states.at(-1), 'closed');
  assert.equal(states.filter((state) => state === 'closed').length, 1);
  await assertQuiet(world);
});

test('what a channel kept is not sent for it after it was closed', async () => {
  const service = createService();
  const world = createWorld(service);
  const [left, stays] = [openChannel({ url: URL, adapter: world.platform }), openChannel({ url: URL, adapter: world.platform })];
  left.send({ type: 'ping', from: 'left' });
  stays.send({ type: 'ping', from: 'stays' });
  left.close();
  await world.advance(500);
  assert.deepEqual(service.frames.map(({ from }) => from), ['stays']);
  stays.close();
  await assertQuiet(world);
});

test('a channel and a watch use the same socket, and nonsense on the one does not disturb the other', async () => {
  const service = createService();
  const world = createWorld(service);
  const line = openChannel({ url: URL, adapter: world.platform });
  const page = openPage(world);
  await world.advance(500);
  line.send({ type: 'nonsense' });
  await world.advance(500);
  assert.equal(page.transport(), 'socket');
  assert.equal(world.counts.connects, 1);
  line.close();
  service.publish('o1', 'succeeded');
  await world.until(() => !!page.outcome(), 500);
  await assertQuiet(world);
});

test('a channel whose functions throw takes nothing from a watch on its socket, nor the socket from both', async () => {
  const service = createService();
  const world = createWorld(service);
  const broken = (what: unknown): never => {
    throw new Error(`broken by ${typeof what === 'string' ? what : (what as { type: string }).type}`);
  };
  const errors = await thrown(async () => {
    const line = openChannel({ url: URL, adapter: world.platform, onFrame: broken, onState: broken });
    const page = openPage(world);
    await world.advance(500);
    assert.equal(page.transport(), 'socket');
    world.cutAll();
    await world.until(() => page.transport() === null, 100);
    await world.until(() => page.transport() === 'socket', 5000);
    service.publish('o1', 'succeeded');
    await world.until(() => !!page.outcome(), 500);
    line.close();
    await assertQuiet(world);
  });
  assert.deepEqual([...new Set(errors)].sort(), ['connecting', 'open', 'payment', 'subscribed'].map((what) => `broken by ${what}`).concat('broken by closed').sort());
});

test('what a channel sent on a socket that was lost is answered with false', async () => {
  const world = createWorld(createService());
  const line = openChannel({ url: URL, adapter: world.platform });
  await world.advance(500);
  const { connect } = world.platform;
  const answers: boolean[] = [];
  line.close();
  // A platform that says nothing of what it was given.
  const mute = { ...world.platform, connect: (...args: Parameters<typeof connect>) => ({ ...connect(...args), send() {} }) };
  const other = openChannel({ url: URL, adapter: mute });
  await world.advance(500);
  other.send({ type: 'ping' }).then((sent) => answers.push(sent));
  await world.advance(100);
  assert.deepEqual(answers, []);
  world.cutAll();
  await world.advance(100);
  assert.deepEqual(answers, [false]);
  other.close();
  await assertQuiet(world);
});

const RENEWED: [string, (world: World, service: FakeService) => unknown][] = [
  ['a reconnect frame', (_, service) => service.restart(100)],
  ['another network', (world) => world.network(true)],
  [
    'a return from the background',
    async (world) => {
      world.background();
      await world.advance(10_000);
      world.foreground();
    },
  ],
];

for (const [name, renew] of RENEWED) {
  test(`${name}: the last watch stops when it is told that there is no connection, and no socket is made for nobody`, async () => {
    const service = createService();
    const world = createWorld(service);
    const told: unknown[] = [];
    const watched: Watch = watch(
      {
        url: URL,
        orderId: 'o1',
        ticket: ticketFor('t', 'o1'),
        onConnection({ transport }) {
          told.push(transport);
          if (!transport) watched.stop();
        },
      },
      world.platform,
    );
    await world.advance(1000);
    await renew(world, service);
    await world.advance(1000);
    assert.deepEqual(told, ['socket', null]);
    assert.equal(world.counts.connects, 1);
    await assertQuiet(world);
  });

  test(`${name}: the last channel closes when it is told that it connects anew, and no socket is made for nobody`, async () => {
    const service = createService();
    const world = createWorld(service);
    const states: string[] = [];
    const line = openChannel({
      url: URL,
      adapter: world.platform,
      onState(state) {
        states.push(state);
        if (states.length === 3) line.close();
      },
    });
    await world.advance(1000);
    await renew(world, service);
    await world.advance(1000);
    assert.deepEqual(states, ['connecting', 'open', 'connecting', 'closed']);
    assert.equal(world.counts.connects, 1);
    await assertQuiet(world);
  });
}

test('a channel that is opened while the line is about to connect anew: one socket, for it and for the watch', async () => {
  const service = createService();
  const world = createWorld(service);
  const page = openPage(world);
  let other: ReturnType<typeof openChannel> | undefined;
  const line = openChannel({
    url: URL,
    adapter: world.platform,
    onState: (state) => {
      if (state === 'connecting' && world.counts.connects && !other) other = openChannel({ url: URL, adapter: world.platform });
    },
  });
  await world.advance(1000);
  service.restart(100);
  await world.advance(1000);
  assert.equal(world.counts.connects, 2);
  assert.equal(service.links.size, 1);
  assert.equal(page.transport(), 'socket');
  line.close();
  other!.close();
  page.watch.stop();
  await assertQuiet(world);
});
