import assert from 'node:assert/strict';
import { test } from 'node:test';
import { paymentComponent, paymentPage, type PaymentData, type PaymentMethods } from '../../src/page';
import { assertQuiet, URL } from '../support/page';
import { createService, ticketFor, type FakeService } from '../support/service';
import { createWorld, type World } from '../support/world';

interface Instance extends PaymentMethods {
  data: { payment?: PaymentData };
  /** What the template got, in order, as a platform passes it: JSON. */
  drawn: PaymentData[];
  unloaded: number;
  onLoad(query: object): void;
  onShow(): void;
  onHide(): void;
  onUnload(): void;
}

/** What a platform makes of what `Page` is given. */
function load(options: object): Instance {
  const page = Object.assign(Object.create(null), options, { data: {}, drawn: [], unloaded: 0 }) as Instance & { setData(data: object): void };
  page.setData = (data) => {
    assert.equal(page.unloaded, 0, 'drawn after onUnload');
    const { payment } = JSON.parse(JSON.stringify(data));
    page.data.payment = payment;
    page.drawn.push(payment);
  };
  return page;
}

const cashier = (world: World, more: object = {}): object => ({
  onLoad(this: Instance, { orderId }: { orderId: string }) {
    this.watchPayment({ url: URL, orderId, ticket: (id) => ticketFor('t', id), adapter: world.platform, ...more });
  },
  onShow() {},
  onHide() {},
  onUnload(this: Instance) {
    this.unloaded++;
  },
});

test('a page: one line in onLoad, its data follows, and onUnload ends it, twice too', async () => {
  const service = createService();
  const world = createWorld(service);
  const page = load(paymentPage(cashier(world, { lateAfterMs: 2000 })));
  page.onLoad({ orderId: 'o1' });
  assert.deepEqual(page.drawn, [{ show: 'confirming', payment: null, over: false }]);
  await world.advance(2500);
  assert.equal(page.data.payment!.show, 'later');
  service.publish('o1', 'processing');
  await world.advance(500);
  assert.equal(page.data.payment!.payment?.status, 'processing');
  page.onUnload();
  page.onUnload();
  service.publish('o1', 'succeeded');
  await assertQuiet(world);
  assert.equal(page.unloaded, 2);
});

test('a page that is hidden by the payment sheet or another page goes on, and the background is the core\'s', async () => {
  const service = createService();
  const world = createWorld(service);
  const page = load(paymentPage(cashier(world)));
  page.onLoad({ orderId: 'o1' });
  await world.advance(1000);
  page.onHide();
  service.publish('o1', 'processing');
  await world.advance(500);
  assert.equal(page.data.payment!.payment?.version, 1);
  world.background();
  await world.advance(10_000);
  service.publish('o1', 'succeeded');
  world.foreground();
  page.onShow();
  await world.until(() => page.data.payment!.over, 3000);
  assert.equal(page.data.payment!.show, 'succeeded');
  page.onUnload();
  await assertQuiet(world);
});

test('two pages of one kind wait for two orders, and the first to go takes nothing from the other', async () => {
  const service = createService();
  const world = createWorld(service);
  const options = paymentPage(cashier(world));
  const [one, two] = [load(options), load(options)];
  one.onLoad({ orderId: 'o1' });
  two.onLoad({ orderId: 'o2' });
  await world.advance(1000);
  one.onUnload();
  service.publish('o1', 'failed');
  service.publish('o2', 'succeeded');
  await world.until(() => two.data.payment!.over, 1000);
  assert.equal(one.data.payment!.show, 'confirming');
  assert.equal(world.counts.connects, 1);
  two.onUnload();
  await assertQuiet(world);
});

test('a page pays again: the old failure is not the result; another order takes the place of the first', async () => {
  const service = createService();
  const world = createWorld(service);
  const page = load(paymentPage(cashier(world)));
  assert.equal(page.watchPaymentAgain(), undefined);
  page.onLoad({ orderId: 'o1' });
  service.publish('o1', 'failed');
  await world.until(() => page.data.payment!.over, 1000);
  for (const status of ['failed', 'succeeded'] as const) {
    assert.equal(page.data.payment!.show, 'failed');
    page.watchPaymentAgain();
    assert.equal(page.data.payment!.show, 'confirming');
    await world.advance(1000);
    assert.equal(page.data.payment!.show, 'confirming');
    service.publish('o1', status);
    await world.until(() => page.data.payment!.over, 1000);
  }
  assert.equal(page.data.payment!.show, 'succeeded');
  page.onLoad({ orderId: 'o2' });
  page.onLoad({ orderId: 'o3' });
  await world.advance(1000);
  assert.equal(service.frames.filter(({ type }) => type === 'unsubscribe').length, 0);
  page.onUnload();
  await assertQuiet(world);
});

/** A page whose payment is final and was drawn, and whose acknowledgement is under way. */
async function openAcking(more: object = {}): Promise<{ service: FakeService; world: World; page: Instance }> {
  const service = createService();
  const world = createWorld(service);
  const page = load(paymentPage(cashier(world, more)));
  page.onLoad({ orderId: 'o1' });
  await world.advance(1000);
  service.publish('o1', 'succeeded');
  await world.until(() => !!page.data.payment!.payment, 1000);
  assert.equal(page.data.payment!.over, false);
  assert.equal(service.acks.length, 0);
  return { service, world, page };
}

test('another order while a final state is acknowledged: the first is not drawn for it', async () => {
  const { service, world, page } = await openAcking();
  const drawn = page.drawn.length;
  page.onLoad({ orderId: 'o2' });
  await world.advance(1000);
  assert.deepEqual(page.drawn.slice(drawn), [{ show: 'confirming', payment: null, over: false }]);
  service.publish('o2', 'failed');
  await world.until(() => page.data.payment!.over, 1000);
  assert.equal(page.data.payment!.show, 'failed');
  page.onUnload();
  await assertQuiet(world);
});

test('onUnload, or an aborted signal, while a final state is acknowledged: nothing is drawn after it', async () => {
  const control = new AbortController();
  for (const end of [(page: Instance) => page.onUnload(), () => control.abort()]) {
    const { world, page } = await openAcking({ signal: control.signal });
    const drawn = page.drawn.length;
    end(page);
    await assertQuiet(world);
    assert.equal(page.drawn.length, drawn);
  }
});

test('another order from within what is drawn, as an observer begins it: the first tells nothing more', async () => {
  const service = createService();
  const world = createWorld(service);
  const told: string[] = [];
  const page = load(paymentPage(cashier(world, { onChange: ({ order_id }: { order_id: string }) => void told.push(order_id) }))) as Instance & { setData(data: object): void };
  const { setData } = page;
  page.setData = (data) => {
    setData(data);
    if (page.data.payment!.payment?.order_id === 'o1') page.onLoad({ orderId: 'o2' });
  };
  page.onLoad({ orderId: 'o1' });
  await world.advance(1000);
  service.publish('o1', 'succeeded');
  service.publish('o2', 'succeeded');
  await world.advance(1000);
  assert.deepEqual(told, ['o2']);
  assert.equal(page.data.payment!.payment?.order_id, 'o2');
  page.onUnload();
  await assertQuiet(world);
});

test('a wait that is begun after onUnload ends at once and draws nothing; a page that is loaded anew waits again', async () => {
  const service = createService();
  const world = createWorld(service);
  const options = { url: URL, orderId: 'o1', ticket: ticketFor('t', 'o1'), adapter: world.platform };
  let login!: () => void;
  const page = load(
    paymentPage({
      async onLoad(this: Instance) {
        await new Promise<void>((resolve) => (login = resolve));
        this.watchPayment(options);
      },
    }),
  );
  page.onLoad({});
  page.onUnload();
  page.unloaded++;
  login();
  await assertQuiet(world);
  assert.ok((await page.watchPayment(options).result).stopped);
  assert.ok((await page.watchPaymentAgain()!.result).stopped);
  await assertQuiet(world);
  assert.deepEqual([page.drawn, world.counts], [[], { connects: 0, requests: 0 }]);

  page.unloaded = 0;
  page.onLoad({});
  login();
  service.publish('o1', 'succeeded');
  await world.until(() => !!page.data.payment?.over, 1000);
  assert.equal(page.data.payment!.show, 'succeeded');
  page.onUnload();
  await assertQuiet(world);
});

test('a page is told what fails, in what its template can show', async () => {
  const world = createWorld(createService());
  const page = load(paymentPage(cashier(world, { ticket: () => Promise.reject({ statusCode: 401, errMsg: 'request:ok' }) })));
  page.onLoad({ orderId: 'o1' });
  await world.advance(1000);
  assert.deepEqual(page.data.payment!.error, { where: 'ticket', code: 'backend_401', message: 'ticket() failed: request:ok: is the session sent?' });
  page.onUnload();
  await assertQuiet(world);
});

test('an option that cannot be meant is thrown in onLoad, and the page can go', async () => {
  const world = createWorld(createService());
  const page = load(paymentPage(cashier(world)));
  assert.throws(() => page.onLoad({}), /option orderId/);
  page.onUnload();
  await assertQuiet(world);
});

for (const name of ['detached', 'lifetimes', 'didUnmount', 'none']) {
  test(`a component, its end in ${name}`, async () => {
    const service = createService();
    const world = createWorld(service);
    let detached = 0;
    const own = (): void => void detached++;
    const given = { detached: { detached: own }, lifetimes: { lifetimes: { attached() {}, detached: own } }, didUnmount: { didUnmount: own }, none: {} }[name];
    const component = paymentComponent({ ...given, methods: { tap() {} } }) as Record<string, any>;
    const instance = load({ ...component['methods'] });
    instance.watchPayment({ url: URL, orderId: 'o1', ticket: ticketFor('t', 'o1'), adapter: world.platform });
    await world.advance(1000);
    const lifetimes = name === 'lifetimes' ? component['lifetimes'] : component;
    lifetimes[name === 'didUnmount' ? name : 'detached'].call(instance);
    instance.unloaded++;
    await assertQuiet(world);
    assert.equal(detached, name === 'none' ? 0 : 1);
    assert.equal(typeof component['methods'].tap, 'function');
    if (name === 'lifetimes') assert.equal(typeof component['lifetimes'].attached, 'function');
  });
}

for (const [name, begin, end] of [['root', 'attached', 'detached'], ['lifetimes', 'attached', 'detached'], ['Alipay', 'didMount', 'didUnmount']] as const) {
  test(`a component, ${name}: a wait that is begun after ${end} ends at once; after ${begin} it waits again`, async () => {
    const service = createService();
    const world = createWorld(service);
    const calls: string[] = [];
    const own = { [begin]: () => void calls.push(begin), [end]: () => void calls.push(end) };
    const component = paymentComponent(name === 'lifetimes' ? { lifetimes: own } : own) as Record<string, any>;
    const hooks = name === 'lifetimes' ? component['lifetimes'] : component;
    const instance = load({ ...component['methods'] });
    const options = { url: URL, orderId: 'o1', ticket: ticketFor('t', 'o1'), adapter: world.platform };
    hooks[begin].call(instance);
    hooks[end].call(instance);
    instance.unloaded++;
    assert.ok((await instance.watchPayment(options).result).stopped);
    await assertQuiet(world);
    assert.deepEqual([instance.drawn, world.counts], [[], { connects: 0, requests: 0 }]);
    instance.unloaded = 0;
    hooks[begin].call(instance);
    instance.watchPayment(options);
    service.publish('o1', 'succeeded');
    await world.until(() => instance.data.payment!.over, 1000);
    hooks[end].call(instance);
    await assertQuiet(world);
    assert.deepEqual(calls, [begin, end, begin, end]);
  });
}
