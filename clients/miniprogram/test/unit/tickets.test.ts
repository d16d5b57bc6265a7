import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertQuiet, ended, openPage } from '../support/page';
import type { Refused } from '../../src/types';
import { createService, ticketFor } from '../support/service';
import { createWorld } from '../support/world';

function issuer(names = ['a', 'b', 'c', 'd', 'e', 'f']) {
  let fetched = 0;
  return { fetch: async () => ticketFor(names[fetched++]!, 'o1'), fetched: () => fetched };
}

for (const sockets of ['work', 'refused'] as const) {
  test(`a ticket that runs out is fetched anew (sockets: ${sockets})`, async () => {
    const service = createService();
    const world = createWorld(service);
    world.weather.sockets = sockets;
    const tickets = issuer();
    const page = openPage(world, { ticket: tickets.fetch });
    await world.advance(5000);
    assert.equal(tickets.fetched(), 1);
    service.expireNow(ticketFor('a', 'o1'));
    world.cutAll();
    await world.advance(5000);
    assert.equal(tickets.fetched(), sockets === 'work' ? 2 : 1);
    // The long poll goes on with the ticket that it was asked with; the next one needs another.
    world.network(true);
    await world.advance(5000);
    assert.equal(tickets.fetched(), 2);
    assert.equal(page.transport(), sockets === 'work' ? 'socket' : 'long_poll');
    service.publish('o1', 'succeeded');
    await world.until(() => !!page.outcome(), 1000);
    assert.equal(page.outcome()?.final, true);
    await assertQuiet(world);
  });

  test(`a ticket that cannot be replaced and ran out: refused, and nothing goes on (sockets: ${sockets})`, async () => {
    const service = createService();
    service.expired.add(ticketFor('t', 'o1'));
    const world = createWorld(service);
    world.weather.sockets = sockets;
    const page = openPage(world);
    await world.until(() => !!page.outcome(), 1000);
    const { cause, ...outcome } = page.outcome() as Refused;
    assert.deepEqual(outcome, { refused: 'ticket_expired', final: false, payment: null });
    if (sockets === 'refused') assert.equal(cause?.error.code, 'refused');
    await assertQuiet(world);
  });

  test(`a function whose tickets are all refused is asked three times (sockets: ${sockets})`, async () => {
    const service = createService();
    const world = createWorld(service);
    world.weather.sockets = sockets;
    let asked = 0;
    const page = openPage(world, { ticket: () => ((asked += 1), ticketFor(`x${asked}`, 'other')) });
    await world.until(() => !!page.outcome(), 40_000);
    assert.ok(ended(page.outcome(), 'refused'));
    assert.equal(asked, 3);
    await assertQuiet(world);
  });
}

test('the socket is not left when the ticket of a running subscription is replaced', async () => {
  const service = createService();
  const world = createWorld(service);
  const tickets = issuer();
  const page = openPage(world, { ticket: tickets.fetch });
  await world.advance(5000);
  service.expireNow(ticketFor('a', 'o1'));
  await world.advance(1000);
  assert.equal(world.counts.connects, 1);
  assert.equal(page.transport(), 'socket');
  page.watch.stop();
  await assertQuiet(world);
});

test('a socket that waits for its ticket is closed every 20 s and is there when the ticket comes', async () => {
  const service = createService();
  const world = createWorld(service);
  const begun = world.now();
  const page = openPage(world, {
    ticket: async () => {
      if (world.now() - begun < 70_000) throw new Error('the back end is slow');
      return ticketFor('t', 'o1');
    },
  });
  await world.advance(69_000);
  // No socket is missed for longer than its first wait, as if it had never failed.
  assert.equal(world.counts.connects, 4);
  assert.equal(service.links.size, 1);
  await world.until(() => page.transport() === 'socket', 25_000);
  assert.equal(world.counts.connects <= 5, true);
  service.publish('o1', 'succeeded');
  await world.until(() => !!page.outcome(), 1000);
  assert.equal(page.outcome()?.final, true);
  await assertQuiet(world);
});

test('a page that waits long may need many tickets', async () => {
  const service = createService();
  const world = createWorld(service);
  const tickets = issuer();
  const page = openPage(world, { ticket: tickets.fetch });
  for (const name of ['a', 'b', 'c', 'd', 'e']) {
    await world.advance(5000);
    service.expireNow(ticketFor(name, 'o1'));
  }
  await world.advance(5000);
  assert.equal(page.transport(), 'socket');
  assert.equal(page.outcome(), undefined);
  page.watch.stop();
  await assertQuiet(world);
});

test('a function that fails, hangs or gives nothing is asked again', async () => {
  const service = createService();
  const world = createWorld(service);
  let asked = 0;
  const page = openPage(world, {
    ticket() {
      asked++;
      if (asked === 1) throw new Error('no');
      if (asked === 2) return Promise.reject(new Error('no'));
      if (asked === 3) return new Promise<string>(() => {});
      if (asked === 4) return '';
      return ticketFor('t', 'o1');
    },
  });
  await world.until(() => page.transport() === 'socket', 30_000);
  assert.equal(asked, 5);
  page.watch.stop();
  await assertQuiet(world);
});

test('a fetch that hangs does not cost the last look', async () => {
  const service = createService();
  const world = createWorld(service);
  let hangs = true;
  const page = openPage(world, { giveUpAfterMs: 5000, ticket: () => (hangs ? new Promise<string>(() => {}) : ticketFor('t', 'o1')) });
  service.publish('o1', 'succeeded');
  await world.advance(4900);
  hangs = false;
  await world.until(() => !!page.outcome(), 2000);
  assert.equal(page.outcome()?.final, true);
  await assertQuiet(world);
});

test('a ticket that arrives after stop is not used', async () => {
  const world = createWorld(createService());
  let give!: (ticket: string) => void;
  const page = openPage(world, { ticket: () => new Promise<string>((resolve) => (give = resolve)) });
  await world.advance(500);
  page.watch.stop();
  give(ticketFor('t', 'o1'));
  await assertQuiet(world);
  assert.equal(world.counts.requests, 0);
});

test('tickets that run out at once are not fetched in a loop', async () => {
  const service = createService();
  const world = createWorld(service);
  let asked = 0;
  const page = openPage(world, { ticket: () => ticketFor(`n${asked++}`, 'o1') });
  const until = world.now() + 30_000;
  while (world.now() < until) {
    await world.advance(100);
    service.expireNow(ticketFor(`n${asked - 1}`, 'o1'));
  }
  assert.ok(asked < 35, String(asked));
  page.watch.stop();
  await assertQuiet(world);
});
