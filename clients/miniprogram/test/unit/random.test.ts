import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Status, TicketSource } from '../../src/types';
import { assertQuiet, openPage, type Page } from '../support/page';
import { seeded } from '../support/random';
import { createService, ticketFor } from '../support/service';
import { openSeveral, type SeveralPage } from '../support/several';
import { createWorld, type Weather, type World } from '../support/world';

const SEED = Number(process.env['SEED'] || 20_260_101);
const SCHEDULES = Number(process.env['SCHEDULES'] || 1000);
const FINAL: Status[] = ['succeeded', 'failed', 'canceled', 'expired'];
const OPEN: Status[] = ['pending', 'requires_action', 'processing', 'authorized'];

/** What a neighbour on the same socket may get wrong. */
const WRONG: TicketSource[] = [
  'nonsense',
  () => 'nonsense',
  () => ticketFor('t', 'o9'),
  () => Promise.reject(new Error('401')),
  (() => ({ ticket: 't' })) as never,
  (() => undefined) as never,
  () => 't'.repeat(9000),
  () => new Promise(() => {}),
];

interface Schedule {
  /** Infinity: never. */
  giveUpAfterMs: number;
  lateAfterMs: number;
  /** From here on HTTP works, tickets can be had and the page is seen. */
  calmAt: number;
  finalAt: number;
  stopAt: number;
  /** The same orders and another, in one call beside it. */
  several?: { otherFinalAt: number };
}

async function play(seed: number): Promise<string> {
  const random = seeded(seed);
  const chance = (part: number): boolean => random() < part;
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  const service = createService();
  const world = createWorld(service, random);
  const slow = random() * random() * 1500;
  world.weather.latencyMs = () => 1 + random() * slow;

  const spanMs = 10_000 + random() * 80_000;
  const plan: Schedule = {
    giveUpAfterMs: chance(0.8) ? spanMs : Infinity,
    lateAfterMs: random() * spanMs * 1.5,
    calmAt: random() * spanMs * (chance(0.3) ? 2 : 0.9),
    finalAt: random() * spanMs * 1.3,
    stopAt: chance(0.2) ? random() * spanMs * 1.2 : Infinity,
    several: chance(0.2) ? { otherFinalAt: random() * spanMs * 1.3 } : undefined,
  };
  const { giveUpAfterMs, lateAfterMs } = plan;

  let issued = 0;
  let expiries = 0;
  let calm = false;
  const ticket = (orders: readonly string[] = ['o1']): Promise<string> => {
    if (!calm && chance(0.05)) throw new Error('no ticket');
    if (!calm && chance(0.1)) return Promise.resolve(pick([undefined, {}, 7, '', 't'.repeat(9000)]) as string);
    if (!calm && chance(0.2)) return chance(0.5) ? Promise.reject(new Error('no ticket')) : new Promise(() => {});
    return Promise.resolve(ticketFor(`t${issued++}`, ...orders));
  };

  const start = world.now();
  const passed = (): number => world.now() - start;
  const times = { lateAfterMs, giveUpAfterMs: giveUpAfterMs < Infinity ? giveUpAfterMs : undefined };
  const control = new AbortController();
  const page = openPage(world, { ticket: chance(0.5) ? () => ticket() : ticketFor('fixed', 'o1'), signal: chance(0.5) ? control.signal : undefined, ...times });
  const several = plan.several && openSeveral(world, { orderIds: ['o5', 'o1'], ticket: chance(0.5) ? ticket : ticketFor('both', 'o1', 'o5'), ...times });
  let otherPublished = !several;
  let neighbour: Page | undefined;
  let published = false;
  let stopped = false;

  const trouble = (): void => {
    const { weather } = world;
    const act = pick<() => void>([
      () => (weather.sockets = pick<Weather['sockets']>(['work', 'refused', 'never', 'mute', 'throw'])),
      () => (weather.http = pick<Weather['http']>(['work', 'fail', 'hang', 'forbidden'])),
      () => (weather.sends = pick<Weather['sends']>(['work', 'fail', 'throw'])),
      () => world.cutAll(pick<'told' | 'silent' | number>(['told', 'silent', random() * 20_000])),
      () => world.background(),
      () => world.foreground(),
      () => world.network(chance(0.7)),
      () => service.restart(random() * 10_000),
      () => void (published || service.publish('o1', pick(OPEN))),
      () => void (issued && expiries++ < 2 && service.expireNow(ticketFor(`t${issued - 1}`, 'o1'))),
      () => (neighbour ? neighbour.watch.stop() : (neighbour = openPage(world, { orderId: chance(0.5) ? 'o1' : 'o2', ticket: chance(0.5) ? pick(WRONG) : undefined, giveUpAfterMs: 5000 + random() * 60_000 }))),
    ]);
    act();
  };

  const due = (at: number, done: boolean): boolean => !done && passed() >= at;
  const over = (): boolean => !!page.outcome() && (!neighbour || !!neighbour.outcome()) && (!several || !!several.outcomes());
  const otherFinalAt = plan.several?.otherFinalAt ?? 0;
  const end = Math.max(plan.calmAt, giveUpAfterMs < Infinity ? giveUpAfterMs : 0, plan.finalAt, otherFinalAt) + 30_000;
  while (!over() || !published || !otherPublished) {
    assert.ok(passed() < end + 130_000, 'never settled');
    if (due(plan.finalAt, published)) {
      published = true;
      service.publish('o1', pick(FINAL));
    }
    if (due(otherFinalAt, otherPublished)) {
      otherPublished = true;
      service.publish('o5', pick(FINAL));
    }
    if (due(plan.stopAt, stopped)) {
      stopped = true;
      control.abort();
      page.watch.stop();
    }
    if (!calm && passed() >= plan.calmAt) {
      calm = true;
      world.weather.http = 'work';
      world.foreground();
    }
    if (!calm && chance(0.25)) trouble();
    await world.advance(1 + Math.min(...[plan.finalAt, otherFinalAt, plan.stopAt, plan.calmAt].map((at) => at - passed()).filter((ms) => ms > 0), random() * 3000));
  }
  await assertQuiet(world);
  if (several) severalVerdict(plan, several);
  return verdict(plan, page, world);
}

function severalVerdict({ giveUpAfterMs, calmAt, finalAt, several }: Schedule, page: SeveralPage): void {
  const { final, outcomes } = page.outcomes()!;
  assert.deepEqual(Object.keys(outcomes), ['o5', 'o1']);
  assert.equal(final, Object.values(outcomes).every((outcome) => outcome.final));
  const lastAt = Math.max(finalAt, several!.otherFinalAt, calmAt);
  if (lastAt < giveUpAfterMs) assert.ok(final);
  for (const [orderId, outcome] of Object.entries(outcomes)) {
    const updates = page.updates.filter((update) => update.orderId === orderId);
    assert.deepEqual(updates.filter(({ over }) => over), [{ orderId, over: true, outcome }]);
    assert.ok(updates.at(-1)!.over);
    const versions = updates.map((update) => (update.over ? Infinity : update.payment.version));
    assert.deepEqual(versions, [...new Set(versions)].sort((a, b) => a - b));
  }
}

function verdict({ giveUpAfterMs, lateAfterMs, calmAt, finalAt, stopAt }: Schedule, page: Page, world: World): string {
  const outcome = page.outcome()!;
  const kind = outcome.final ? 'final' : outcome.timedOut ? 'timedOut' : outcome.stopped ? 'stopped' : 'refused';
  // What the last look needs: it begins at the deadline, has five seconds, and asks again after one.
  const reachable = finalAt < giveUpAfterMs && calmAt < giveUpAfterMs;
  if (stopAt < Infinity) assert.ok(['final', 'stopped', 'timedOut'].includes(kind), kind);
  else if (reachable) assert.equal(kind, 'final');
  if (kind === 'final') assert.equal(page.changes.at(-1)?.final, true);
  assert.ok(page.changes.filter((change) => change.final).length <= 1);
  assert.ok(page.late <= 1);
  if (kind === 'timedOut' && lateAfterMs < giveUpAfterMs) assert.equal(page.late, 1);
  assert.deepEqual(page.errors.filter(({ attempt, error }) => !attempt || !error.code || !error.message), []);
  assert.deepEqual(world.live(), []);
  return kind;
}

/** On a network that works: whatever others on the socket get wrong, the good ones are told at once and never lose it. */
async function playNeighbours(seed: number): Promise<void> {
  const random = seeded(seed);
  const chance = (part: number): boolean => random() < part;
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  const service = createService();
  const world = createWorld(service, random);
  world.weather.latencyMs = () => 1 + random() * 100;
  const control = new AbortController();
  const good = openPage(world, { orderId: 'o1', lateAfterMs: random() * 60_000 });
  const single = openPage(world, { orderId: chance(0.5) ? 'o1' : 'o2', signal: control.signal });
  const several = openSeveral(world, { orderIds: ['o3', 'o4', 'o1'] });
  const wrong: { stop(): void }[] = [];
  const orders = ['o1', 'o2', 'o3', 'o4'];
  let told = 0;

  for (let i = 0; i < 12; i++) {
    const orderId = pick(orders);
    pick<() => void>([
      () => wrong.push(openPage(world, { orderId, ticket: pick(WRONG) }).watch),
      () => wrong.push(openSeveral(world, { orderIds: [orderId, 'o8'], ticket: pick([...WRONG, () => ticketFor('part', orderId)]) as () => string }).several),
      () => pick([{ stop() {} }, ...wrong]).stop(),
      () => void (orderId === 'o1' && told++, service.publish(orderId, pick(OPEN))),
    ])();
    await world.advance(random() * 15_000);
  }
  control.abort();
  wrong.forEach((each) => each.stop());
  await world.advance(1000);
  assert.equal(good.changes.length, told);
  orders.forEach((orderId) => service.publish(orderId, pick(FINAL)));
  await world.until(() => !!good.outcome() && !!several.outcomes(), 2000);
  assert.ok(good.outcome()!.final && several.outcomes()!.final && single.outcome()!.stopped);
  assert.deepEqual([...good.errors, ...single.errors, ...several.errors], []);
  for (const { reconnects } of [...good.connections, ...single.connections, ...several.connections]) assert.equal(reconnects, 0);
  assert.equal(world.counts.connects, 1);
  await assertQuiet(world);
}

async function schedules(count: number, run: (seed: number) => Promise<string | void>): Promise<void> {
  const kinds: Record<string, number> = {};
  for (let i = 0; i < count; i++) {
    try {
      const kind = await run(SEED + i);
      if (kind) kinds[kind] = (kinds[kind] || 0) + 1;
    } catch (error) {
      throw new Error(`seed ${SEED + i}: run again with SEED=${SEED + i} SCHEDULES=1`, { cause: error });
    }
  }
  console.log(`seed ${SEED}:`, kinds);
}

test(`${SCHEDULES} random schedules from seed ${SEED}: the final state is learned if it can be, once, and nothing runs after the end`, () => schedules(SCHEDULES, play));

const NEIGHBOURS = Math.ceil(SCHEDULES / 20);
test(`${NEIGHBOURS} random schedules of watches that get everything wrong: those beside them are not touched`, () => schedules(NEIGHBOURS, playNeighbours));
