// docs/troubleshooting.md, in both languages: each sentence that it quotes is what a run of that mistake says, and none is missing.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { miniProgram } from '../../src/adapters/mini';
import { watchPayment } from '../../src/index';
import { paymentPage, type PaymentData, type PaymentMethods } from '../../src/page';
import type { Response } from '../../src/platform';
import { watchPayments } from '../../src/several';
import type { TicketSource } from '../../src/types';
import { assertQuiet, URL } from '../support/page';
import { createService, ticketFor } from '../support/service';
import { createWorld } from '../support/world';

const PREFIX = 'payment-notifier: ';
const warnings: string[] = [];
const { warn } = console;
console.warn = (text: string) => void warnings.push(text);
after(() => {
  console.warn = warn;
});

const tidy = (sentence: string): string => sentence.replace(/\s+/g, ' ').replace(URL, 'https://pay.example.com').trim();
const { platform } = createWorld(createService());
const GOOD = { url: URL, orderId: 'A10001', ticket: 't', adapter: platform };

const THROWN: (() => unknown)[] = [
  () => watchPayment({ ...GOOD, url: 'pay.example.com' }),
  () => watchPayment({ ...GOOD, orderId: undefined as never }),
  () => watchPayment({ ...GOOD, ticket: Promise.resolve('t') as never }),
  () => watchPayment({ ...GOOD, deadlineMs: 90_000 } as never),
  () => watchPayments({ ...GOOD, orderId: undefined, orderIds: [] } as never),
  () => miniProgram({} as never),
];

/** What a page is told whose requests and sockets get this answer, or whose ticket is this. */
interface Wrong {
  code: string;
  ticket?: TicketSource;
  response?: Response;
  closed?: string;
  where?: 'socket';
}

const problem = (status: number, code: string): Response => ({ status, data: { code } });
const WAITS: Wrong[] = [
  { code: 'backend_401', ticket: () => Promise.reject(new Error('401')) },
  { code: 'ticket_failed', ticket: () => Promise.reject({ errMsg: 'request:fail timeout' }) },
  {
    code: 'ticket_failed',
    ticket() {
      throw new Error('shop is not defined');
    },
  },
  { code: 'ticket_failed', ticket: () => new Promise(() => {}) },
  { code: 'no_ticket', ticket: (() => undefined) as never },
  { code: 'no_ticket', ticket: (() => ({ ticket: 't' })) as never },
  { code: 'no_ticket', ticket: () => ' ' },
  { code: 'domain_not_listed', response: { status: 0, reason: 'request:fail url not in domain list' } },
  { code: 'domain_not_listed', closed: 'url not in domain list', where: 'socket' },
  { code: 'cors', response: { status: 0, reason: 'cors: add this origin to http.allowed_origins' } },
  { code: 'unreachable', response: { status: 0, reason: 'request:fail' } },
  { code: 'wrong_service', response: problem(404, 'not_found') },
  { code: 'wrong_service', response: { status: 200, data: '<html>' } },
  { code: 'refused', response: problem(503, 'unavailable') },
  { code: 'refused', response: problem(429, 'rate_limited') },
];
const REFUSED: Wrong[] = [
  { code: 'refused', ticket: 'nonsense' },
  { code: 'refused', ticket: ticketFor('t', 'another') },
  { code: 'refused', ticket: ticketFor('old', 'A10001') },
];

/** The sentence, and what the page shows after a second, after 80 seconds and in the end. */
async function run({ code, ticket, response, closed, where }: Wrong): Promise<{ sentence: string; shown: string[] }> {
  const service = createService();
  service.expired.add(ticketFor('old', 'A10001'));
  const world = createWorld(service);
  if (response || where) {
    world.platform.request = (_, done) => void Promise.resolve().then(() => done(response || { status: 0 }));
    world.platform.connect = (_, events) => {
      Promise.resolve().then(() => events.close(closed));
      return { send() {}, close() {} };
    };
  }
  let sentence = '';
  const data: { payment?: PaymentData } = {};
  const page = Object.assign(paymentPage({ onUnload() {} }), { setData: (next: object) => Object.assign(data, next) }) as unknown as PaymentMethods & { onUnload(): void };
  page.watchPayment({
    url: URL,
    orderId: 'A10001',
    ticket: (ticket ?? ticketFor('t', 'A10001')) as string,
    adapter: world.platform,
    onError({ error, where: place }) {
      if (error.code === code && (!where || place === where)) sentence = sentence || error.message;
    },
  });
  const shown: string[] = [];
  for (const ms of [2000, 78_000]) {
    await world.advance(ms);
    shown.push(data.payment!.show);
  }
  page.onUnload();
  await assertQuiet(world);
  return { sentence: tidy(sentence), shown };
}

/** The first cells of the tables under each heading. */
function quoted(file: string): string[][] {
  const sections = readFileSync(`../../docs/${file}`, 'utf8').split(/^## /m).slice(1);
  return sections.map((section) => [...section.matchAll(/^\| `(.*?)` \|/gm)].map(([, sentence]) => sentence!.replaceAll('\\|', '|')));
}

test('docs/troubleshooting: each sentence is what a run says', async () => {
  const thrown = THROWN.map((attempt) => {
    try {
      attempt();
    } catch (error) {
      return (error as Error).message.replace(PREFIX, '');
    }
    throw new Error('nothing was thrown');
  });
  const waits: { sentence: string; shown: string[] }[] = [];
  for (const wrong of WAITS) waits.push(await run(wrong));
  const refused: typeof waits = [];
  for (const wrong of REFUSED) refused.push(await run(wrong));
  for (const { sentence, shown } of waits) assert.deepEqual(shown, ['confirming', 'later'], sentence);
  for (const { sentence, shown } of refused) assert.deepEqual(shown, ['later', 'later'], sentence);
  // The console is told in the same words, once of each kind: of the first. Sockets that were unreachable have been told of before.
  const said = WAITS.flatMap(({ code }, i) => (WAITS.findIndex((each) => each.code === code) === i && code !== 'unreachable' ? [PREFIX + waits[i]!.sentence] : []));
  assert.deepEqual(warnings.map(tidy).filter((text) => !text.includes('wrong url?')), said);
  for (const file of ['troubleshooting.md', 'troubleshooting.zh-CN.md']) {
    assert.deepEqual(quoted(file).slice(0, 3), [thrown, waits.map(({ sentence }) => sentence), refused.map(({ sentence }) => sentence)], file);
  }
});
