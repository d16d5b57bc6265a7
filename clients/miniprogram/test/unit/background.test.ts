import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertQuiet, ended, openPage } from '../support/page';
import { createService } from '../support/service';
import { createWorld } from '../support/world';

for (const awayMs of [1000, 10_000, 60_000]) {
  for (const cut of ['none', 'told', 'silent'] as const) {
    for (const lateFirst of [0, 0.9]) {
      test(`away for ${awayMs} ms, socket ${cut === 'none' ? 'kept' : `lost, ${cut}`}, late callbacks ${lateFirst ? 'after' : 'before'} onShow`, async () => {
        const service = createService();
        const world = createWorld(service, () => lateFirst);
        const page = openPage(world, { giveUpAfterMs: 300_000 });
        await world.advance(15_000);
        world.background();
        await world.advance(awayMs / 2);
        if (cut !== 'none') world.cutAll(cut);
        await world.advance(awayMs / 2);
        service.publish('o1', 'processing');
        await world.advance(10);
        service.requests.length = 0;
        world.foreground();
        await world.advance(100);
        assert.equal(page.changes.length, 1);
        assert.equal(service.requests[0], 'GET /v1/payments/o1', 'no snapshot on return');
        await world.until(() => page.transport() === 'socket', 4000);
        service.publish('o1', 'succeeded');
        await world.until(() => !!page.outcome(), 5000);
        await assertQuiet(world);
      });
    }
  }
}

test('the deadline passed in the background: on return it asks before it says timedOut', async () => {
  const service = createService();
  const world = createWorld(service);
  const page = openPage(world, { giveUpAfterMs: 30_000 });
  await world.advance(1000);
  world.background();
  await world.advance(100_000);
  service.publish('o1', 'succeeded');
  await world.advance(1000);
  assert.equal(page.outcome(), undefined);
  world.foreground();
  await world.until(() => !!page.outcome(), 1000);
  assert.equal(page.outcome()?.final, true);
  assert.equal(page.changes.length, 1);
  await assertQuiet(world);
});

test('hidden but not stopped, as a tab is: it asks once more and ends', async () => {
  const service = createService();
  const world = createWorld(service);
  const page = openPage(world, { giveUpAfterMs: 3000 });
  world.background();
  await world.advance(2900);
  service.requests.length = 0;
  await world.advance(1000);
  assert.ok(ended(page.outcome(), 'timedOut'));
  assert.deepEqual(service.requests, ['GET /v1/payments/o1']);
  await assertQuiet(world);
});

test('given up where every request is cut, as in the background: asked again each five seconds until the page is back', async () => {
  const service = createService();
  const world = createWorld(service);
  const page = openPage(world, { giveUpAfterMs: 1000 });
  world.background();
  world.weather.http = 'hang';
  world.weather.sockets = 'never';
  await world.advance(4900);
  service.publish('o1', 'succeeded');
  world.weather.http = 'work';
  await world.advance(100_000);
  assert.equal(page.outcome(), undefined);
  world.foreground();
  await world.until(() => !!page.outcome(), 1000);
  assert.equal(page.outcome()?.final, true);
  await assertQuiet(world);
});

test('timers that are lost in the background', async () => {
  const service = createService();
  const world = createWorld(service);
  const page = openPage(world, { giveUpAfterMs: 30_000 });
  await world.advance(1000);
  for (const awayMs of [6000, 100_000]) {
    world.background();
    await world.advance(awayMs);
    world.loseTimers();
    world.foreground();
    await world.until(() => page.transport() === 'socket' || !!page.outcome(), 1000);
  }
  await world.until(() => !!page.outcome(), 6000);
  assert.ok(ended(page.outcome(), 'timedOut'));
  await assertQuiet(world);
});

test('stop in the background', async () => {
  const world = createWorld(createService());
  const page = openPage(world, { giveUpAfterMs: 30_000 });
  world.background();
  await world.advance(4000);
  page.watch.stop();
  world.foreground();
  await world.advance(10);
  assert.ok(ended(page.outcome(), 'stopped'));
  await assertQuiet(world);
});

test('another network: a snapshot and another socket, whatever the old one claims', async () => {
  const service = createService();
  const world = createWorld(service);
  const page = openPage(world);
  await world.advance(1000);
  world.cutAll('silent');
  service.publish('o1', 'processing');
  service.requests.length = 0;
  world.network(false);
  await world.advance(1000);
  assert.deepEqual(service.requests, []);
  world.network(true);
  await world.until(() => page.changes.length === 1, 100);
  assert.deepEqual(service.requests, ['GET /v1/payments/o1']);
  await world.until(() => page.transport() === 'socket', 1000);
  service.publish('o1', 'succeeded');
  await world.until(() => !!page.outcome(), 500);
  await assertQuiet(world);
});
