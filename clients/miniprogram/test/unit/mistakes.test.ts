// The mistakes of a first day: what the page and the console are told of each, and that they touch nobody else.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { miniProgram } from '../../src/adapters/mini';
import { openChannel } from '../../src/channel';
import { watchPayment } from '../../src/index';
import { watchPayment as watchAnywhere } from '../../src/index.bundler';
import { watchPayment as watchInBrowser } from '../../src/index.browser';
import type { Response } from '../../src/platform';
import type { TicketSource, WatchError } from '../../src/types';
import { watch, type WatchOptions } from '../../src/watch';
import { assertQuiet, openPage, URL } from '../support/page';
import { createService, ticketFor } from '../support/service';
import { createWorld } from '../support/world';

const warnings: string[] = [];
const { warn } = console;
console.warn = (text: string) => void warnings.push(text);
after(() => {
  console.warn = warn;
});

const GOOD = { url: URL, orderId: 'o1', ticket: 't' };
const OPTIONS: [string, unknown, RegExp][] = [
  ['none', undefined, /option url: like https:\/\/pay\.example\.com/],
  ['null', null, /option url/],
  ['no url', { ...GOOD, url: undefined }, /option url/],
  ['a url without a scheme', { ...GOOD, url: 'pay.example.com' }, /option url/],
  ['another scheme', { ...GOOD, url: 'ftp://pay.example.com' }, /option url/],
  ['a url with a query', { ...GOOD, url: 'https://pay.example.com?a=1' }, /option url/],
  ['a URL object', { ...GOOD, url: new globalThis.URL(URL) }, /option url/],
  ['no orderId', { ...GOOD, orderId: undefined }, /option orderId: 1 to 64/],
  ['a number as orderId', { ...GOOD, orderId: 1 }, /option orderId/],
  ['a long orderId', { ...GOOD, orderId: 'o'.repeat(65) }, /option orderId/],
  ['a space in orderId', { ...GOOD, orderId: 'o 1' }, /option orderId/],
  ['no ticket', { ...GOOD, ticket: undefined }, /option ticket: a ticket or a function/],
  ['an empty ticket', { ...GOOD, ticket: '' }, /option ticket/],
  ['a promise as ticket', { ...GOOD, ticket: Promise.resolve('t') }, /option ticket/],
  ['a ticket that is too long', { ...GOOD, ticket: 't'.repeat(8001) }, /option ticket/],
  ['an option of 0.1', { ...GOOD, deadlineMs: 90_000 }, /option deadlineMs: unknown/],
  ['a misspelt option', { ...GOOD, onchange() {} }, /option onchange: unknown/],
  ['a callback that is none', { ...GOOD, onChange: 'show' }, /option onChange: unknown or wrong type/],
  ['a text as milliseconds', { ...GOOD, lateAfterMs: '5000' }, /option lateAfterMs: unknown or wrong type/],
  ['null as milliseconds', { ...GOOD, giveUpAfterMs: null }, /option giveUpAfterMs: unknown or wrong type/],
  ['a text as version', { ...GOOD, after: '1' }, /option after: unknown or wrong type/],
  ['no number until late', { ...GOOD, lateAfterMs: NaN }, /option lateAfterMs: unknown or wrong type/],
  ['no number until given up', { ...GOOD, giveUpAfterMs: NaN }, /option giveUpAfterMs: unknown or wrong type/],
  ['no number as version', { ...GOOD, after: NaN }, /option after: unknown or wrong type/],
];

for (const [name, options, sentence] of OPTIONS) {
  test(`options, ${name}: thrown at once, and nothing is begun`, async () => {
    const world = createWorld(createService());
    assert.throws(() => watch(options as WatchOptions, world.platform), (error: Error) => error instanceof TypeError && sentence.test(error.message));
    await assertQuiet(world);
    assert.deepEqual(world.counts, { connects: 0, requests: 0 });
  });
}

test('every option, given as undefined or as it should be, is taken', async () => {
  const world = createWorld(createService());
  const nothing = (): void => {};
  const all = { after: 1, lateAfterMs: 1, giveUpAfterMs: 1, signal: new AbortController().signal, onChange: nothing, onConnection: nothing, onLate: nothing, onError: nothing, adapter: world.platform };
  watch({ ...GOOD, ...all }, world.platform).stop();
  watch({ ...GOOD, ...Object.fromEntries(Object.keys(all).map((name) => [name, undefined])) }, world.platform).stop();
  await assertQuiet(world);
});

test('Infinity as milliseconds: never late and never given up, without a timer that spins', async () => {
  const world = createWorld(createService());
  const page = openPage(world, { lateAfterMs: Infinity, giveUpAfterMs: Infinity });
  await world.advance(3600_000);
  assert.deepEqual([page.late, page.outcome()], [0, undefined]);
  page.watch.stop();
  await assertQuiet(world);
});

test('no platform, an empty one, and a channel without an address: thrown at once', () => {
  assert.throws(() => watchPayment(GOOD), /no connectSocket or request: leave adapter out/);
  assert.throws(() => watchAnywhere(GOOD), /no connectSocket or request: leave adapter out/);
  assert.throws(() => miniProgram({} as never), /no connectSocket or request: leave adapter out/);
  assert.throws(() => openChannel({ url: 'pay.example.com', adapter: createWorld(createService()).platform }), /option url/);
});

const TICKETS: [string, TicketSource, string, RegExp][] = [
  ['rejects', () => Promise.reject(new Error('shop is down')), 'ticket_failed', /shop is down/],
  ['rejects with what a platform gives', () => Promise.reject({ errMsg: 'request:fail timeout' }), 'ticket_failed', /request:fail timeout/],
  ['rejects with nothing', () => Promise.reject(), 'ticket_failed', /ticket\(\) failed/],
  ['throws', () => { throw new Error('shop is not defined'); }, 'ticket_failed', /shop is not defined/],
  ['never settles', () => new Promise(() => {}), 'ticket_failed', /no answer in 10 s/],
  ['rejects with 401 of the back end', () => Promise.reject(new Error('401')), 'backend_401', /is the session sent\?/],
  ['rejects with the response of a 401', () => Promise.reject({ statusCode: 401, errMsg: 'request:ok' }), 'backend_401', /is the session sent\?/],
  ['gives undefined', (() => undefined) as never, 'no_ticket', /not undefined/],
  ['gives null', (() => null) as never, 'no_ticket', /not null/],
  ['gives the whole answer', (() => ({ ticket: 't' })) as never, 'no_ticket', /not object/],
  ['gives a number', (() => 7) as never, 'no_ticket', /not number/],
  ['gives an empty text', () => '', 'no_ticket', /must give a ticket/],
  ['gives spaces', () => '   ', 'no_ticket', /must give a ticket/],
  ['gives a line', () => `${ticketFor('t', 'o1')}\n`, 'no_ticket', /must give a ticket/],
  ['gives too much', () => 't'.repeat(9000), 'no_ticket', /must give a ticket/],
];

for (const [name, ticket, code, message] of TICKETS) {
  test(`ticket() ${name}: ${code}, again and again, and another watch on the socket is not touched`, async () => {
    const service = createService();
    const world = createWorld(service);
    const good = openPage(world, { orderId: 'o2' });
    const bad = openPage(world, { ticket, giveUpAfterMs: 60_000, lateAfterMs: 30_000 });
    await world.advance(45_000);
    assert.equal(bad.late, 1);
    assert.ok(bad.errors.length > 1, String(bad.errors.length));
    assert.deepEqual(bad.errors.map(({ attempt }) => attempt), bad.errors.map((_, i) => i + 1));
    for (const { where, error } of bad.errors) {
      assert.deepEqual([where, error.code], ['ticket', code]);
      assert.match(error.message, message);
    }
    await world.until(() => !!bad.outcome(), 30_000);
    const outcome = bad.outcome()!;
    assert.ok(outcome.timedOut);
    assert.equal(outcome.cause?.error.code, code);
    service.publish('o2', 'succeeded');
    await world.until(() => !!good.outcome(), 1000);
    assert.equal(good.outcome()?.final, true);
    assert.deepEqual(good.errors, []);
    assert.ok(good.connections.every(({ reconnects }) => reconnects === 0));
    assert.equal(world.counts.connects, 1);
    await assertQuiet(world);
  });
}

const REFUSED: [string, TicketSource][] = [
  ['nonsense', 'nonsense'],
  ['a function that gives nonsense', () => 'nonsense'],
  ['a ticket for another order', ticketFor('t', 'o3')],
  ['a function that gives tickets for another order', () => ticketFor('t', 'o3')],
];

for (const [name, ticket] of REFUSED) {
  test(`${name}: refused, and another watch on the socket is not touched`, async () => {
    const service = createService();
    const world = createWorld(service);
    const good = openPage(world, { orderId: 'o2' });
    await world.advance(1000);
    const bad = openPage(world, { ticket });
    await world.until(() => !!bad.outcome(), 60_000);
    assert.match(bad.outcome()!.refused!, /^(invalid_ticket|forbidden)$/);
    service.publish('o2', 'succeeded');
    await world.until(() => !!good.outcome(), 1000);
    assert.deepEqual(good.errors, []);
    assert.ok(good.connections.every(({ reconnects }) => reconnects === 0));
    assert.equal(world.counts.connects, 1);
    await assertQuiet(world);
  });
}

const DOMAIN = 'fail url not in domain list';
const PROBLEM = JSON.stringify({ code: 'not_found', detail: 'there is nothing at this path' });
const ADDRESSES: [string, Response, string | undefined, string[], RegExp][] = [
  ['a wrong host or port', { status: 0 }, undefined, ['unreachable'], /no answer .*wrong url\?/],
  ['a domain that is not on the lists', { status: 0, reason: `request:${DOMAIN}` }, `connectSocket:${DOMAIN}`, ['domain_not_listed'], /add it to the (request|socket) domains/],
  ['the same in Chinese', { status: 0, reason: 'request 不在以下合法域名列表中' }, undefined, ['domain_not_listed', 'unreachable'], /add it to the request domains/],
  ['an origin that is not allowed', { status: 0, reason: 'cors: add this origin to http.allowed_origins' }, undefined, ['cors', 'unreachable'], /add this origin to http\.allowed_origins/],
  ["the operators' port", { status: 404, data: PROBLEM }, undefined, ['wrong_service', 'unreachable'], /404 not_found is it the port of http\.listen\?/],
  ['a web server', { status: 200, data: '<html>' }, undefined, ['wrong_service', 'unreachable'], /200 .*is it the port of http\.listen\?/],
  ['a service that says no', { status: 503, data: { code: 'unavailable' } }, undefined, ['refused', 'unreachable'], /503 unavailable/],
];

for (const [name, response, reason, codes, message] of ADDRESSES) {
  test(`${name}: ${codes[0]}, and the outcome bears the cause`, async () => {
    const world = createWorld(createService());
    world.platform.request = (_, done) => void Promise.resolve().then(() => done(response));
    world.platform.connect = (_, events) => {
      Promise.resolve().then(() => events.close(reason));
      return { send() {}, close() {} };
    };
    const page = openPage(world, { giveUpAfterMs: 30_000 });
    await world.until(() => !!page.outcome(), 60_000);
    assert.deepEqual([...new Set(page.errors.map(({ error }) => error.code))].sort(), [...codes].sort());
    assert.deepEqual([...new Set(page.errors.map(({ where }) => where))].sort(), ['request', 'socket']);
    assert.ok(page.errors.some(({ error }) => message.test(error.message)), page.errors[0]!.error.message);
    assert.ok(page.outcome()!.timedOut);
    assert.equal((page.outcome() as { cause?: WatchError }).cause!.error.code, codes[0]);
    await assertQuiet(world);
  });
}

test('what a platform says of a failure reaches the page', async () => {
  const errors: WatchError[] = [];
  const adapter = miniProgram({
    connectSocket: ({ fail }) => void setTimeout(() => fail({ errMsg: `connectSocket:${DOMAIN}` })),
    request: ({ fail }) => void setTimeout(() => fail({ errorMessage: `request:${DOMAIN}` })),
  });
  const watched = watchPayment({ ...GOOD, adapter, onError: (error) => errors.push(error) });
  while (errors.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  watched.stop();
  assert.deepEqual(errors.slice(0, 2).map(({ where, error }) => `${where} ${error.code}`).sort(), ['request domain_not_listed', 'socket domain_not_listed']);
});

test('a browser that keeps an answer from the page is told from a service that is not there', async () => {
  let answers = true;
  const target = { addEventListener() {} };
  class Xhr {
    status = 0;
    responseText = '';
    open() {}
    setRequestHeader() {}
    abort() {}
    onerror = (): void => {};
    send() {
      setTimeout(() => this.onerror());
    }
  }
  class Socket {
    onclose = (): void => {};
    send() {}
    close() {}
    constructor() {
      setTimeout(() => this.onclose());
    }
  }
  const fetch = async (): Promise<object> => {
    if (!answers) throw new TypeError('Failed to fetch');
    return {};
  };
  Object.assign(globalThis, { window: { ...target, document: { ...target, hidden: false }, XMLHttpRequest: Xhr, WebSocket: Socket, fetch } });
  for (const code of ['cors', 'unreachable']) {
    const errors: WatchError[] = [];
    const watched = watchInBrowser({ ...GOOD, onError: (error) => void errors.push(error) });
    while (!errors.some(({ where }) => where === 'request')) await new Promise((resolve) => setTimeout(resolve, 5));
    watched.stop();
    assert.equal(errors.find(({ where }) => where === 'request')!.error.code, code);
    answers = false;
  }
});

test('onError that throws does not stop the watch', async () => {
  const service = createService();
  const world = createWorld(service);
  const unhandled: unknown[] = [];
  const listener = (error: unknown): void => void unhandled.push(error);
  const listeners = process.listeners('unhandledRejection');
  process.removeAllListeners('unhandledRejection');
  process.on('unhandledRejection', listener);
  try {
    world.weather.sockets = 'refused';
    const watched = watch(
      {
        ...GOOD,
        ticket: ticketFor('t', 'o1'),
        onError() {
          throw new Error('the page');
        },
      },
      world.platform,
    );
    await world.advance(10_000);
    service.publish('o1', 'succeeded');
    await world.advance(1000);
    assert.equal((await watched.result).final, true);
    assert.ok(unhandled.length);
  } finally {
    process.removeAllListeners('unhandledRejection');
    listeners.forEach((each) => process.on('unhandledRejection', each));
  }
});

test('a signal that is none is thrown at once, and nothing is begun', async () => {
  const world = createWorld(createService());
  assert.throws(() => watch({ ...GOOD, signal: {} as AbortSignal }, world.platform), TypeError);
  await assertQuiet(world);
  assert.deepEqual(world.counts, { connects: 0, requests: 0 });
});

test('a signal stops, before or after, and is let go of', async () => {
  const world = createWorld(createService());
  const before = new AbortController();
  before.abort();
  assert.ok((await watch({ ...GOOD, signal: before.signal }, world.platform).result).stopped);
  const later = new AbortController();
  const watched = watch({ ...GOOD, ticket: ticketFor('t', 'o1'), signal: later.signal }, world.platform);
  await world.advance(1000);
  later.abort();
  assert.ok((await watched.result).stopped);
  await assertQuiet(world);
});

test('late is told once, and the watch goes on until the payment ends, however long that takes', async () => {
  const service = createService();
  const world = createWorld(service);
  const page = openPage(world);
  await world.advance(74_000);
  assert.equal(page.late, 0);
  await world.advance(2 * 3600_000);
  assert.equal(page.late, 1);
  assert.equal(world.counts.connects, 1);
  assert.ok(world.counts.requests <= 2, String(world.counts.requests));
  service.publish('o1', 'succeeded');
  await world.until(() => !!page.outcome(), 1000);
  assert.equal(page.outcome()?.final, true);
  await assertQuiet(world);
});

test('the console is told once of each kind', () => {
  const kinds = ['ticket() failed: ', 'is the session sent?', 'must give a ticket', 'wrong url?', 'add it to the', 'allowed_origins', 'http.listen', 'invalid_ticket'];
  assert.ok(warnings.every((text) => text.startsWith('payment-notifier: ')));
  for (const kind of kinds) assert.ok(warnings.some((text) => text.includes(kind)), kind);
  assert.ok(warnings.length <= kinds.length, warnings.join('\n'));
});
