// Runs the snippets of the READMEs and of docs/pages, in both languages, as they stand there: only the service's address is another.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import * as channel from '../../miniprogram_dist/channel.js';
import * as sdk from '../../miniprogram_dist/index.js';
import type { Backend } from '../support/scenarios';
import { createDevice } from '../support/shim';
import { startStandin } from '../support/standin';

const device = createDevice('wx');
let backend: Backend;

before(async () => {
  backend = await startStandin();
  Object.assign(globalThis, { wx: device.api });
});
after(() => backend.close());

function snippets(file: string, language: string): string[] {
  const text = readFileSync(file, 'utf8');
  return [...text.matchAll(new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 'gs'))].map(([, code]) => code!).filter((code) => /watchPayment|openChannel/.test(code));
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const end = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`not within 10 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const quiet = (): Promise<void> => until('quiet', () => !device.live().length);

/** `names`: what a snippet takes for granted. */
async function run(code: string, names: Record<string, unknown>): Promise<void> {
  const given: Record<string, unknown> = { require: (name: string) => (name.endsWith('/channel') ? channel : sdk), ...names };
  const wrapped = `return (async () => { ${code.replace(/https:\/\/pay\.example\.com/g, backend.url)} })()`;
  await new Function(...Object.keys(given), wrapped)(...Object.values(given));
}

interface PageObject {
  data: Record<string, unknown>;
  setData(data: object): void;
  onLoad(query: object): void;
  onUnload(): void;
  wait?(): void;
}

async function openPage(code: string, names: Record<string, unknown>, query: object): Promise<PageObject> {
  let page!: PageObject;
  await run(code, { Page: (object: PageObject) => (page = object), ...names });
  page.setData = (data) => Object.assign(page.data, data);
  page.onLoad(query);
  return page;
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

  test(`${file} of the package: every other snippet is there`, async () => {
    const [, , third, ...more] = snippets(file, 'js');
    await run(third!, {});
    assert.deepEqual(more, []);
    assert.equal(snippets(file, 'ts').length, 1);
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
