import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertQuiet, openPage } from '../support/page';
import { createService } from '../support/service';
import { createWorld } from '../support/world';

test('where sockets are refused: a long poll', async () => {
  const service = createService();
  const world = createWorld(service);
  world.weather.sockets = 'refused';
  const page = openPage(world);
  await world.advance(6000);
  service.requests.length = 0;
  service.publish('o1', 'processing');
  await world.advance(200);
  assert.equal(page.changes.length, 1);
  assert.equal(page.transport(), 'long_poll');
  await world.advance(200);
  assert.deepEqual(service.requests, ['GET /v1/payments/o1?after=1&wait=25']);
  service.publish('o1', 'succeeded');
  await world.until(() => !!page.outcome(), 200);
  assert.equal(service.acks.at(-1)?.over, 'http');
  await assertQuiet(world);
});

test('no long polls: short polls, two seconds at first, then slower; and up again', async () => {
  const service = createService();
  const { http } = service;
  let patient = false;
  service.http = (request, answer, later) => {
    if (!patient && /wait=/.test(request.url)) {
      service.requests.push(request.url);
      answer({ status: 504, data: 'gateway' });
      return () => {};
    }
    return http(request, answer, later);
  };
  const world = createWorld(service);
  world.weather.sockets = 'refused';
  const page = openPage(world, { giveUpAfterMs: 600_000 });
  await world.until(() => page.transport() === 'poll', 5000);
  const start = world.now();
  service.requests.length = 0;
  await world.advance(9000);
  assert.ok(service.requests.length >= 4 && service.requests.length <= 5, String(service.requests.length));
  await world.advance(20_000);
  assert.ok(service.requests.length <= 9, String(service.requests.length));
  patient = true;
  await world.until(() => page.transport() === 'long_poll', 60_000);
  assert.ok(world.now() - start > 25_000);
  service.publish('o1', 'succeeded');
  await world.until(() => !!page.outcome(), 1000);
  await assertQuiet(world);
});

test('long polls that get no answer cost little, and while better rungs are tried again the page is not told that it is alone', async () => {
  const service = createService();
  const { http } = service;
  const polls: number[] = [];
  service.http = (request, answer, later) => {
    if (/wait=/.test(request.url)) return () => {};
    polls.push(world.now());
    return http(request, answer, later);
  };
  const world = createWorld(service);
  world.weather.sockets = 'refused';
  const page = openPage(world, { giveUpAfterMs: 600_000 });
  await world.until(() => page.transport() === 'poll', 30_000);
  const told = page.connections.length;
  await world.advance(120_000);
  assert.equal(page.connections.length, told);
  const gaps = polls.slice(1).map((at, i) => at - polls[i]!);
  assert.ok(Math.max(...gaps) < 26_000, String(gaps));
  world.weather.http = 'forbidden';
  await world.until(() => page.transport() === null, 40_000);
  page.watch.stop();
  await assertQuiet(world);
});

test('a proxy that forbids everything is no refusal of the ticket', async () => {
  const service = createService();
  const world = createWorld(service);
  world.weather.sockets = 'refused';
  world.weather.http = 'forbidden';
  const page = openPage(world);
  await world.advance(20_000);
  assert.equal(page.outcome(), undefined);
  assert.ok(world.counts.requests < 30, String(world.counts.requests));
  world.weather.http = 'work';
  service.publish('o1', 'succeeded');
  await world.until(() => !!page.outcome(), 20_000);
  await assertQuiet(world);
});

test('whatever answers at once in place of a long poll is not asked in a loop', async () => {
  const service = createService();
  const { http } = service;
  service.http = (request, answer, later) => {
    const url = request.url.replace(/\?.*/, '');
    return http({ ...request, url }, answer, later);
  };
  const world = createWorld(service);
  world.weather.sockets = 'refused';
  const page = openPage(world);
  service.publish('o1', 'processing');
  await world.advance(30_000);
  assert.ok(world.counts.requests < 40, String(world.counts.requests));
  page.watch.stop();
  await assertQuiet(world);
});
