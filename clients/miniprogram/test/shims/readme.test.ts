// Runs the snippets of the READMEs, of docs/pages and of docs/adoption, in both languages, as they stand there: only the service's address
// and a timer's span are others.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { transformSync } from 'esbuild';
import * as react from 'react';
import { create } from 'react-test-renderer';
import * as vue from 'vue';
import { compileScript, parse } from 'vue/compiler-sfc';
import type { Backend } from '../support/scenarios';
import { createDevice } from '../support/shim';
import { startStandin } from '../support/standin';

const device = createDevice('wx');
let backend: Backend;

before(async () => {
  backend = await startStandin();
  Object.assign(globalThis, { wx: device.api });
});
after(async () => {
  await backend.close();
  // A page that a failed test has left would wait on.
  setTimeout(() => process.exit(1), 5000).unref();
});

function snippets(file: string, language: string): string[] {
  const text = readFileSync(file, 'utf8');
  return [...text.matchAll(new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 'gs'))].map(([, code]) => code!).filter((code) => /watchPayment|openChannel|usePayment|waitForPayment|watchPayResult/.test(code));
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const end = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`not within 10 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const quiet = (): Promise<void> => until('quiet', () => !device.live().length);

/** The package as a page has it: built for mini-programs; with a framework, for bundlers. */
const load = createRequire(resolve('package.json'));
const packages = (folder: string) => (name: string): unknown =>
  name.startsWith('payment-notifier-miniprogram') ? load(`./${folder}/${name.split('/')[1] || 'index'}.js`) : load(name);

/** What a module in the syntax of a framework exports. */
function moduleOf(code: string, loader: 'js' | 'jsx'): Record<string, any> {
  const module = { exports: {} as Record<string, any> };
  const text = transformSync(code.replace(/https:\/\/pay\.example\.com/g, backend.url), { loader, format: 'cjs', jsx: 'automatic' }).code;
  new Function('require', 'module', 'exports', text)(packages('dist'), module, module.exports);
  return module.exports;
}

/** `names`: what a snippet takes for granted. */
async function run(code: string, names: Record<string, unknown>): Promise<void> {
  const given: Record<string, unknown> = { require: packages('miniprogram_dist'), ...names };
  const wrapped = `return (async () => { ${code.replace(/https:\/\/pay\.example\.com/g, backend.url)} })()`;
  await new Function(...Object.keys(given), wrapped)(...Object.values(given));
}

interface PageObject {
  data: Record<string, unknown>;
  setData(data: object): void;
  onLoad(query: object): void;
  onUnload(): void;
  wait?(): void;
  watchPaymentAgain?(): void;
}

async function openPage(code: string, names: Record<string, unknown>, query: object, more: object = {}): Promise<PageObject> {
  let page!: PageObject;
  await run(code, { Page: (object: PageObject) => (page = object), ...names });
  page.data ||= {};
  Object.assign(page, more);
  page.setData = (data) => Object.assign(page.data, data);
  page.onLoad(query);
  return page;
}

/** A failure, the button, a success, as the page says them. */
async function paysTwice(orderId: string, text: () => string, tap: () => unknown): Promise<void> {
  await until('confirming', () => /Confirming|确认中/.test(text()));
  await backend.publish(orderId, 'failed');
  await until('not paid', () => /Not paid|支付未成功/.test(text()));
  await tap();
  await until('confirming', () => /Confirming|确认中/.test(text()));
  await backend.publish(orderId, 'succeeded');
  await until('paid', () => /Paid|支付成功/.test(text()));
}

interface VueNode {
  children: VueNode[];
  parent?: VueNode;
  own: string;
  props: Record<string, () => void>;
  text(): string;
  find(prop: string): () => void;
}

/** Vue's own renderer, onto objects. */
function mountVue(component: vue.Component, props: Record<string, unknown>): { app: { unmount(): void }; root: VueNode } {
  const node = (own = ''): VueNode => ({
    children: [],
    own,
    props: {},
    text() {
      return this.own + this.children.map((child) => child.text()).join('');
    },
    find(prop) {
      return this.props[prop] || this.children.map((child) => child.find(prop)).find(Boolean)!;
    },
  });
  const { createApp } = vue.createRenderer<VueNode, VueNode>({
    createElement: () => node(),
    createText: (text) => node(text),
    createComment: () => node(),
    setText: (target, text) => void (target.own = text),
    setElementText: (target, text) => void (target.own = text),
    insert(child, parent) {
      child.parent = parent;
      parent.children.push(child);
    },
    remove: (child) => void child.parent?.children.splice(child.parent.children.indexOf(child), 1),
    parentNode: (child) => child.parent ?? null,
    nextSibling: () => null,
    patchProp: (target, name, _, value) => void (target.props[name] = value),
  });
  const root = node();
  const app = createApp(component, props);
  app.mount(root);
  return { app, root };
}

for (const file of ['README.md', 'README.zh-CN.md']) {
  test(`${file} of the package: the first snippet`, async () => {
    await backend.publish('A10001', 'succeeded');
    await run(snippets(file, 'js')[0]!, { fetchTicket: async (orderId: string) => backend.ticket(orderId, 600) });
    await quiet();
  });

  test(`${file} of the package: the page to copy, paid again after a failure`, async () => {
    const orderId = `copied-${file.length}`;
    // The merchant's back end, which refuses once.
    let asked = 0;
    const request = ({ url, data, success }: { url: string; data: { order_id: string }; success(response: object): void }): void => {
      assert.equal(url, 'https://shop.example.com/payment-ticket');
      success(asked++ ? { statusCode: 200, data: { ticket: backend.ticket(data.order_id, 600) } } : { statusCode: 401, data: {} });
    };
    const said: string[] = [];
    const page = await openPage(snippets(file, 'js')[1]!, { wx: { request }, console: { warn: (text: string) => said.push(text) } }, { orderId });
    assert.equal(page.data['state'], 'confirming');
    await until('a ticket', () => asked > 1);
    assert.match(said[0]!, /ticket\(\) failed: 401/);
    await backend.publish(orderId, 'failed');
    await until('failed', () => page.data['state'] === 'failed');
    page.wait!();
    assert.equal(page.data['state'], 'confirming');
    await until('connected', () => device.live().some((name) => name === 'socket 1'));
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(page.data['state'], 'confirming');
    await backend.publish(orderId, 'succeeded');
    await until('succeeded', () => page.data['state'] === 'succeeded');
    page.onUnload();
    page.onUnload();
    await quiet();
  });

  test(`${file} of the package: the line in a page`, async () => {
    const orderId = `line-${file.length}`;
    const page = await openPage(snippets(file, 'js')[2]!, { fetchTicket: async (id: string) => backend.ticket(id, 600) }, { orderId });
    const shows = (state: string): Promise<void> => until(state, () => (page.data['payment'] as { show: string }).show === state);
    await shows('confirming');
    await backend.publish(orderId, 'failed');
    await shows('failed');
    const buttons = [...readFileSync(file, 'utf8').matchAll(/bindtap="(\w+)"/g)].map(([, method]) => method as 'watchPaymentAgain');
    assert.deepEqual([...new Set(buttons)], ['wait', 'watchPaymentAgain']);
    page.watchPaymentAgain!();
    await shows('confirming');
    await backend.publish(orderId, 'succeeded');
    await shows('succeeded');
    page.onUnload();
    await quiet();
  });

  test(`${file} of the package: Vue`, async () => {
    const [code, ...more] = snippets(file, 'vue');
    assert.deepEqual(more, []);
    const { content } = compileScript(parse(code!).descriptor, { id: 'cashier', inlineTemplate: true });
    const Cashier = moduleOf(content, 'js')['default'];
    const { app, root } = mountVue(Cashier, { orderId: `vue-${file.length}`, fetchTicket: async (id: string) => backend.ticket(id, 600) });
    await paysTwice(`vue-${file.length}`, () => root.text(), () => root.find('onClick')());
    app.unmount();
    await quiet();
  });

  test(`${file} of the package: React`, async () => {
    const [code, ...more] = snippets(file, 'jsx');
    assert.deepEqual(more, []);
    const { Cashier } = moduleOf(code!, 'jsx');
    const props = { orderId: `react-${file.length}`, fetchTicket: async (id: string) => backend.ticket(id, 600) };
    const renderer = create(react.createElement(Cashier, props));
    await paysTwice(props.orderId, () => JSON.stringify(renderer.toJSON()), () => renderer.root.findByType('button').props['onClick']());
    renderer.unmount();
    await quiet();
  });

  test(`${file} of the package: every other snippet is there`, async () => {
    const [, , , fourth, ...more] = snippets(file, 'js');
    await run(fourth!, {});
    assert.deepEqual(more, []);
    assert.equal(snippets(file, 'ts').length, 2);
  });

  test(`${file} of the repository: the call`, async () => {
    const [code, ...more] = snippets(`../../${file}`, 'js');
    assert.deepEqual(more, []);
    await backend.publish('A10001', 'succeeded');
    const shown: string[] = [];
    await run(`${code!}; await watch.result`, { fetchTicket: async (orderId: string) => backend.ticket(orderId, 600), show: (text: string) => shown.push(text) });
    assert.deepEqual(shown, ['succeeded']);
    await quiet();
  });
}

for (const file of ['README.md', 'README.zh-CN.md']) {
  test(`${file} of the client by hand: the page`, async () => {
    const [code, ...more] = snippets(`../../examples/by-hand/${file}`, 'js');
    assert.deepEqual(more, []);
    const orderId = `hand-${file.length}`;
    const byHand = (): unknown => load('../../examples/by-hand/client.js');
    const page = await openPage(code!, { require: byHand }, { orderId }, { fetchTicket: async (id: string) => backend.ticket(id, 600) });
    assert.equal(page.data['state'], 'confirming');
    await backend.publish(orderId, 'succeeded');
    await until('succeeded', () => page.data['state'] === 'succeeded');
    page.onUnload();
    await quiet();
  });
}

for (const file of ['pages.md', 'pages.zh-CN.md']) {
  test(`docs/${file}: the page`, async () => {
    const [code, ...more] = snippets(`../../docs/${file}`, 'js');
    assert.deepEqual(more, []);
    const orderId = `root-${file.length}`;
    const TEXT = { succeeded: 'Paid' };
    const page = await openPage(code!, { TEXT, getTicketFromMyBackEnd: async (id: string) => backend.ticket(id, 600) }, { order_id: orderId });
    await backend.publish(orderId, 'succeeded');
    await until('Paid', () => page.data['text'] === 'Paid');
    page.onUnload();
    await quiet();
  });
}

for (const language of ['', '.zh-CN']) {
  const of = (guide: string): string[] => snippets(`../../docs/adoption/${guide}${language}.md`, 'js');
  const fetchTicket = async (id: string): Promise<string> => backend.ticket(id, 600);

  test(`docs/adoption/setinterval${language}: the page`, async () => {
    const orderId = `adopt-page${language.length}`;
    const page = await openPage(of('setinterval')[0]!, {}, { orderId }, { fetchTicket });
    await backend.publish(orderId, 'succeeded');
    await until('succeeded', () => page.data['state'] === 'succeeded');
    page.onUnload();
    await quiet();
  });

  for (const decides of ['timer', 'service']) {
    test(`docs/adoption/setinterval${language}: both ways, the ${decides} decides`, async () => {
      const [, both, ...more] = of('setinterval');
      assert.deepEqual(more, []);
      const orderId = `adopt-${decides}${language.length}`;
      const shown: string[] = [];
      const reports: any[] = [];
      let old: string | undefined;
      const ask = async (id: string): Promise<string | undefined> => (assert.equal(id, orderId), old);
      const show = (status: string): unknown => shown.push(status);
      const report = (both: object): unknown => reports.push(both);
      moduleOf(both!.replace('2000', '20'), 'js')['waitBothWays']({ orderId, fetchTicket, ask, decides, show, report });
      await backend.publish(orderId, 'succeeded');
      old = 'succeeded';
      await until('both know', () => reports.length === 1);
      assert.deepEqual(shown, ['succeeded']);
      assert.deepEqual([reports[0].orderId, reports[0].timer.status, reports[0].service.status], [orderId, 'succeeded', 'succeeded']);
      await quiet();
    });
  }

  test(`docs/adoption/yudao${language}: the hook, and the page around it`, async () => {
    const [hook, page, ...more] = of('yudao');
    assert.deepEqual(more, []);
    const { watchPayResult } = moduleOf(hook!, 'js');
    for (const [id, status, result] of [[7, 'succeeded', 'paid'], [8, 'expired', 'closed']] as const) {
      const asked: number[] = [];
      const state: Record<string, any> = { id: id + 10 * language.length, result: 'unpaid' };
      const getOrderInfo = (id: number): unknown => asked.push(id);
      let unload!: () => void;
      const onUnload = (leave: () => void): unknown => (unload = leave);
      await run(`${page!}\nawait waitForResult()`, { state, getOrderInfo, onUnload, fetchTicket, watchPayResult });
      await backend.publish(String(state['id']), status);
      await until(result, () => (result === 'paid' ? asked[0] === state['id'] : state['result'] === result));
      unload();
      await quiet();
    }
    const asked: number[] = [];
    await run(`${page!}\nawait waitForResult()`, { state: { id: 9 }, getOrderInfo: (id: number) => asked.push(id), onUnload() {}, fetchTicket: async () => null, watchPayResult });
    assert.deepEqual(asked, [9]);
    await quiet();
  });

  test(`docs/adoption/jeepay${language}: the page`, async () => {
    const [code, ...more] = of('jeepay');
    assert.deepEqual(more, []);
    const mchOrderNo = `adopt-jeepay${language.length}`;
    const shown: string[] = [];
    moduleOf(code!, 'js')['waitForPayment']({ mchOrderNo, fetchTicket, show: (status: string) => shown.push(status) });
    await backend.publish(mchOrderNo, 'expired');
    await until('expired', () => shown[0] === 'expired');
    await quiet();
  });
}
