import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRenderer, createSSRApp, effectScope, h, nextTick, ref, type Component, type Ref } from 'vue';
import { renderToString } from 'vue/server-renderer';
import { usePayment, type UsedPayment, type UsePaymentOptions } from '../../src/vue';
import { assertQuiet, URL } from '../support/page';
import { createService, ticketFor } from '../support/service';
import { createWorld, type World } from '../support/world';

interface Node {
  children: Node[];
  parent?: Node;
  text: string;
}

/** The real renderer, onto objects: there is no DOM here, as there is none in a mini-program. */
const { createApp } = createRenderer<Node, Node>({
  createElement: () => ({ children: [], text: '' }),
  createText: (text) => ({ children: [], text }),
  createComment: () => ({ children: [], text: '' }),
  setText: (node, text) => void (node.text = text),
  setElementText: (node, text) => void (node.text = text),
  insert(node, parent) {
    node.parent = parent;
    parent.children.push(node);
  },
  remove: (node) => void node.parent?.children.splice(node.parent.children.indexOf(node), 1),
  parentNode: (node) => node.parent ?? null,
  nextSibling: () => null,
  patchProp() {},
});

const page = (world: World, orderId: UsePaymentOptions['orderId'], more: Partial<UsePaymentOptions> = {}, out: { used?: UsedPayment } = {}): Component => ({
  setup() {
    const used = (out.used = usePayment({ url: URL, orderId, ticket: (id) => ticketFor('t', id), adapter: world.platform, ...more }));
    return () => h('view', `${used.show.value} ${used.payment.value?.version ?? ''}`);
  },
});

function mount(component: Component): { root: Node; text(): string; unmount(): void } {
  const root: Node = { children: [], text: '' };
  const app = createApp(component);
  app.mount(root);
  return { root, text: () => root.children[0]!.text.trim(), unmount: () => app.unmount() };
}

test('Vue: draws each state, the final one included, and leaves nothing', async () => {
  const service = createService();
  const world = createWorld(service);
  const seen: string[] = [];
  const { text, unmount } = mount(page(world, 'o1', { lateAfterMs: 2000, onChange: ({ status }) => void seen.push(status) }));
  await world.advance(1000);
  assert.equal(text(), 'confirming');
  await world.advance(1500);
  assert.equal(text(), 'later');
  service.publish('o1', 'processing');
  await world.advance(100);
  assert.equal(text(), 'later 1');
  service.publish('o1', 'succeeded');
  await world.advance(500);
  assert.equal(text(), 'succeeded 2');
  assert.deepEqual(seen, ['processing', 'succeeded']);
  await assertQuiet(world);
  unmount();
  await assertQuiet(world);
});

test('Vue: unmounted while it waits, and unmounted at once', async () => {
  const world = createWorld(createService());
  mount(page(world, 'o1')).unmount();
  await assertQuiet(world);
  assert.deepEqual(world.counts, { connects: 0, requests: 0 });
  const { unmount } = mount(page(world, 'o1'));
  await world.advance(1000);
  unmount();
  await assertQuiet(world);
});

test('Vue: another orderId ends the wait for the one before, none waits for nothing, and the ticket is for the new order', async () => {
  const service = createService();
  const world = createWorld(service);
  const orderId: Ref<string | null> = ref('o1');
  const { text, unmount } = mount(page(world, orderId));
  service.publish('o1', 'processing');
  await world.advance(1000);
  assert.equal(text(), 'confirming 1');
  orderId.value = 'o2';
  await nextTick();
  assert.equal(text(), 'confirming');
  await world.advance(1000);
  service.publish('o1', 'succeeded');
  service.publish('o2', 'failed');
  await world.advance(500);
  assert.equal(text(), 'failed 1');
  orderId.value = null;
  await nextTick();
  assert.equal(text(), 'none');
  await assertQuiet(world);
  orderId.value = 'o1';
  await nextTick();
  await world.advance(500);
  assert.equal(text(), 'succeeded 2');
  unmount();
  await assertQuiet(world);
});

test('Vue: paid again after a failure, the old one is not the result', async () => {
  const service = createService();
  const world = createWorld(service);
  const out: { used?: UsedPayment } = {};
  const { text, unmount } = mount(page(world, () => 'o1', {}, out));
  service.publish('o1', 'failed');
  await world.advance(1000);
  assert.equal(text(), 'failed 1');
  for (let i = 0; i < 2; i++) {
    out.used!.again();
    await nextTick();
    assert.equal(text(), 'confirming');
    await world.advance(1000);
    assert.equal(text(), 'confirming');
    if (!i) service.publish('o1', 'failed');
    else service.publish('o1', 'succeeded');
    await world.advance(500);
  }
  assert.equal(text(), 'succeeded 3');
  unmount();
  await assertQuiet(world);
});

for (const where of ['from outside', 'by onChange']) {
  test(`Vue: an order that is left ${where} while its final state is acknowledged is not drawn for the next one`, async () => {
    const service = createService();
    const world = createWorld(service);
    const orderId = ref('o1');
    const told: string[] = [];
    const onChange: UsePaymentOptions['onChange'] = ({ order_id }) => {
      told.push(order_id);
      if (where === 'by onChange') orderId.value = 'o2';
    };
    const { text, unmount } = mount(page(world, orderId, { onChange }));
    await world.advance(1000);
    service.publish('o1', 'succeeded');
    await world.until(() => told.length === 1, 1000);
    assert.equal(service.acks.length, 0);
    orderId.value = 'o2';
    await nextTick();
    assert.equal(text(), 'confirming');
    await world.advance(1000);
    assert.equal(text(), 'confirming');
    service.publish('o2', 'failed');
    await world.advance(500);
    assert.equal(text(), 'failed 1');
    assert.deepEqual(told, ['o1', 'o2']);
    unmount();
    await assertQuiet(world);
  });
}

test('Vue: again() in the same tick as another orderId waits for that order, and passes over nothing of it', async () => {
  const service = createService();
  const world = createWorld(service);
  const out: { used?: UsedPayment } = {};
  const orderId = ref('o1');
  const { text, unmount } = mount(page(world, orderId, {}, out));
  service.publish('o1', 'failed');
  service.publish('o2', 'succeeded');
  await world.advance(1000);
  assert.equal(text(), 'failed 1');
  orderId.value = 'o2';
  out.used!.again();
  await world.advance(1000);
  assert.equal(text(), 'succeeded 1');
  unmount();
  await assertQuiet(world);
});

test('Vue: again() before anything newer came: the old failure is still not the result', async () => {
  const service = createService();
  const world = createWorld(service);
  const out: { used?: UsedPayment } = {};
  const { text, unmount } = mount(page(world, 'o1', {}, out));
  service.publish('o1', 'failed');
  await world.advance(1000);
  for (let i = 0; i < 2; i++) {
    out.used!.again();
    await world.advance(1000);
    assert.equal(text(), 'confirming');
  }
  service.publish('o1', 'succeeded');
  await world.advance(500);
  assert.equal(text(), 'succeeded 2');
  unmount();
  await assertQuiet(world);
});

test('Vue: a ticket that is refused shows "later" and why', async () => {
  const world = createWorld(createService());
  const out: { used?: UsedPayment } = {};
  const { text, unmount } = mount(page(world, 'o1', { ticket: 'nonsense' }, out));
  await world.advance(2000);
  assert.equal(text(), 'later');
  assert.equal(out.used!.outcome.value?.refused, 'invalid_ticket');
  assert.equal(out.used!.error.value?.error.code, 'refused');
  unmount();
  await assertQuiet(world);
});

test('Vue: without a component it lives as long as its scope', async () => {
  const service = createService();
  const world = createWorld(service);
  const scope = effectScope();
  const used = scope.run(() => usePayment({ url: URL, orderId: 'o1', ticket: ticketFor('t', 'o1'), adapter: world.platform }))!;
  await world.advance(1000);
  service.publish('o1', 'processing');
  await world.advance(500);
  assert.equal(used.payment.value?.status, 'processing');
  scope.stop();
  await assertQuiet(world);
});

test('Vue: what components share goes on when the first of them is unmounted, and ends with its own scope', async () => {
  const service = createService();
  const world = createWorld(service);
  const scope = effectScope(true);
  let used: UsedPayment | undefined;
  // As a store does, that is made when a component first asks for it.
  const shared = (): UsedPayment => (used ??= scope.run(() => usePayment({ url: URL, orderId: 'o1', ticket: ticketFor('t', 'o1'), adapter: world.platform }))!);
  const component: Component = {
    setup() {
      const { show } = shared();
      return () => h('view', show.value);
    },
  };
  const first = mount(component);
  await world.advance(1000);
  const second = mount(component);
  first.unmount();
  await world.advance(1000);
  service.publish('o1', 'succeeded');
  await world.advance(1000);
  assert.equal(second.text(), 'succeeded');
  used = undefined;
  const third = mount(component);
  await world.advance(1000);
  scope.stop();
  await assertQuiet(world);
  second.unmount();
  third.unmount();
});

test('Vue: rendered on a server, it connects to nothing', async () => {
  const world = createWorld(createService());
  assert.equal(await renderToString(createSSRApp(page(world, 'o1'))), '<view>confirming </view>');
  await assertQuiet(world);
  assert.deepEqual(world.counts, { connects: 0, requests: 0 });
});
