import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createElement, StrictMode, type ReactElement } from 'react';
import { renderToString } from 'react-dom/server';
import { act, create, type ReactTestRenderer } from 'react-test-renderer';
import { usePayment, type UsedPayment, type UsePaymentOptions } from '../../src/react';
import { assertQuiet, URL } from '../support/page';
import { createService, ticketFor } from '../support/service';
import { createWorld, type World } from '../support/world';

Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });

interface Props extends Partial<UsePaymentOptions> {
  world: World;
  /** Each render adds what it got. */
  used?: UsedPayment[];
}

function Page({ world, used, ...more }: Props): string {
  const payment = usePayment({ url: URL, orderId: 'o1', ticket: (id: string) => ticketFor('t', id), adapter: world.platform, ...more });
  used?.push(payment);
  return `${payment.show} ${payment.payment?.version ?? ''}`.trim();
}

const strict = (props: Props): ReactElement => createElement(StrictMode, null, createElement(Page, props));

async function mount(props: Props): Promise<{ text(): unknown; draw(props: Props): Promise<void>; advance(ms: number): Promise<void>; unmount(): Promise<void> }> {
  let renderer!: ReactTestRenderer;
  await act(async () => {
    renderer = create(strict(props));
  });
  return {
    text: () => renderer.toJSON(),
    draw: (next) => act(async () => renderer.update(strict(next))),
    advance: (ms) => act(async () => props.world.advance(ms)),
    unmount: () => act(async () => renderer.unmount()),
  };
}

test('React, StrictMode: its double effects make one connection; each state is drawn, and nothing is left', async () => {
  const service = createService();
  const world = createWorld(service);
  const { text, advance, unmount } = await mount({ world, lateAfterMs: 2000 });
  await advance(1000);
  assert.equal(text(), 'confirming');
  assert.deepEqual(world.counts, { connects: 1, requests: 1 });
  await advance(1500);
  assert.equal(text(), 'later');
  service.publish('o1', 'processing');
  await advance(100);
  assert.equal(text(), 'later 1');
  service.publish('o1', 'succeeded');
  await advance(500);
  assert.equal(text(), 'succeeded 2');
  await assertQuiet(world);
  await unmount();
});

test('React: unmounted at once and while it waits', async () => {
  const world = createWorld(createService());
  const first = await mount({ world, orderId: null });
  await first.unmount();
  assert.deepEqual(world.counts, { connects: 0, requests: 0 });
  const { advance, unmount } = await mount({ world });
  await advance(1000);
  await unmount();
  await assertQuiet(world);
});

test('React: another orderId never draws the state of the one before, and none waits for nothing', async () => {
  const service = createService();
  const world = createWorld(service);
  const used: UsedPayment[] = [];
  const { text, draw, advance, unmount } = await mount({ world, used });
  service.publish('o1', 'failed');
  await advance(1000);
  assert.equal(text(), 'failed 1');
  used.length = 0;
  await draw({ world, used, orderId: 'o2' });
  assert.deepEqual([...new Set(used.map(({ show }) => show))], ['confirming']);
  await advance(1000);
  service.publish('o2', 'succeeded');
  await advance(500);
  assert.equal(text(), 'succeeded 1');
  await draw({ world, orderId: undefined });
  assert.equal(text(), 'none');
  await unmount();
  await assertQuiet(world);
});

test('React: the callbacks and the ticket of the last render are the ones that are called, and rendering again connects no second time', async () => {
  const service = createService();
  const world = createWorld(service);
  const told: string[] = [];
  const props = (name: string): Props => ({
    world,
    onChange: ({ status }) => void told.push(`${name} ${status}`),
    onConnection: ({ transport }) => void told.push(`${name} ${transport}`),
    ticket: (id) => ticketFor(name, id),
  });
  const { draw, advance, unmount } = await mount(props('a'));
  await advance(1000);
  await draw(props('b'));
  service.publish('o1', 'processing');
  await advance(1000);
  service.expireNow(ticketFor('a', 'o1'));
  await advance(3000);
  service.publish('o1', 'succeeded');
  await advance(500);
  assert.deepEqual(told.filter((what) => !what.endsWith('null')), ['a socket', 'b processing', 'b socket', 'b succeeded']);
  assert.equal(world.counts.connects, 1);
  assert.ok(service.frames.some(({ ticket }) => ticket === ticketFor('b', 'o1')));
  await unmount();
  await assertQuiet(world);
});

test('React: paid again after failures, the old ones are not the result', async () => {
  const service = createService();
  const world = createWorld(service);
  const used: UsedPayment[] = [];
  const { text, advance, unmount } = await mount({ world, used });
  service.publish('o1', 'failed');
  await advance(1000);
  for (const status of ['failed', 'succeeded'] as const) {
    assert.equal(used.at(-1)!.show, 'failed');
    await act(async () => used.at(-1)!.again());
    await advance(1000);
    assert.equal(text(), 'confirming');
    service.publish('o1', status);
    await advance(500);
  }
  assert.equal(text(), 'succeeded 3');
  await unmount();
  await assertQuiet(world);
});

test('React: again() while a final state is acknowledged, and again before anything newer came: the old state is not the result', async () => {
  const service = createService();
  const world = createWorld(service);
  const used: UsedPayment[] = [];
  let told = 0;
  const { text, advance, unmount } = await mount({ world, used, onChange: () => void told++ });
  await advance(1000);
  service.publish('o1', 'failed');
  await act(async () => world.until(() => told === 1, 1000));
  assert.equal(service.acks.length, 0);
  for (let i = 0; i < 2; i++) {
    await act(async () => used.at(-1)!.again());
    assert.equal(text(), 'confirming');
    await advance(1000);
    assert.equal(text(), 'confirming');
  }
  service.publish('o1', 'succeeded');
  await advance(500);
  assert.equal(text(), 'succeeded 2');
  await unmount();
  await assertQuiet(world);
});

test('React: an order that is left while its final state is acknowledged is not drawn for the next one', async () => {
  const service = createService();
  const world = createWorld(service);
  const used: UsedPayment[] = [];
  let told = 0;
  const onChange = (): void => void told++;
  const { text, draw, advance, unmount } = await mount({ world, used, onChange });
  await advance(1000);
  service.publish('o1', 'succeeded');
  await act(async () => world.until(() => told === 1, 1000));
  used.length = 0;
  await draw({ world, used, onChange, orderId: 'o2' });
  await advance(1000);
  assert.deepEqual([...new Set(used.map(({ show }) => show))], ['confirming']);
  service.publish('o2', 'failed');
  await act(async () => world.until(() => told === 2, 1000));
  // At once: it is acknowledged meanwhile.
  assert.equal(text(), 'failed 1');
  await unmount();
  await assertQuiet(world);
});

test('React: another ticket given as text begins anew; a refused one shows "later" and why', async () => {
  const service = createService();
  const world = createWorld(service);
  const used: UsedPayment[] = [];
  const { text, draw, advance, unmount } = await mount({ world, used, ticket: 'nonsense' });
  await advance(2000);
  assert.equal(text(), 'later');
  assert.equal(used.at(-1)!.outcome?.refused, 'invalid_ticket');
  assert.equal(used.at(-1)!.error?.error.code, 'refused');
  await draw({ world, used, ticket: ticketFor('t', 'o1') });
  service.publish('o1', 'succeeded');
  await advance(1000);
  assert.equal(text(), 'succeeded 1');
  await unmount();
  await assertQuiet(world);
});

test('React: rendered on a server, it connects to nothing', async () => {
  const world = createWorld(createService());
  assert.equal(renderToString(strict({ world })), 'confirming');
  await assertQuiet(world);
  assert.deepEqual(world.counts, { connects: 0, requests: 0 });
});
