// The page in a real Chromium. Against a stand-in, or against the real program if PAYMENT_NOTIFIER_BIN is set.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { chromium } from 'playwright-core';
import { serve } from '../serve.mjs';

const { startProgram, startStandin } = createRequire(import.meta.url)('../../../clients/miniprogram/build/support.cjs');
const BROWSER = process.env.CHROMIUM || '/usr/bin/chromium';
const SHOTS = process.env.SCREENSHOTS;
const FLAGS = '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync';

let server;
let backend;
let profile;
let context;
let page;

before(async () => {
  server = await serve(0, '');
  const origin = `http://127.0.0.1:${server.address().port}`;
  backend = process.env.PAYMENT_NOTIFIER_BIN
    ? await startProgram({
        PAYMENT_NOTIFIER__DEMO__ENABLED: 'true',
        PAYMENT_NOTIFIER__PAYMENTS__DEFAULT_MERCHANT: 'shop',
        PAYMENT_NOTIFIER__HTTP__ALLOWED_ORIGINS: origin,
      })
    : await startStandin();
  server.service = backend.url;
  profile = mkdtempSync(join(tmpdir(), 'payment-notifier-web-'));
  context = await chromium.launchPersistentContext(profile, { executablePath: BROWSER, args: FLAGS.split(' '), viewport: { width: 1000, height: 900 } });
});
after(async () => {
  await context?.close();
  await backend?.close();
  server.close();
  server.closeAllConnections();
  if (profile) rmSync(profile, { recursive: true, force: true });
});
let errors;
beforeEach(async () => {
  page = await context.newPage();
  errors = [];
  page.on('pageerror', (error) => errors.push(error));
  await page.goto(`http://127.0.0.1:${server.address().port}/?lang=${SHOTS ? 'en' : 'zh'}`);
});
afterEach(async () => {
  await page.close();
  assert.deepEqual(errors, []);
});

const state = (name) => page.waitForSelector(`#state[data-state="${name}"]`, { timeout: 15_000 });
const transport = (name, timeout = 15_000) =>
  page.waitForFunction((wanted) => document.getElementById('transport').textContent === wanted, name, { timeout });
const text = (id) => page.textContent(`#${id}`);
const shot = (name) => SHOTS && page.screenshot({ path: join(SHOTS, `${name}.png`) });

test('paying', async () => {
  await page.click('#primary');
  await state('confirming');
  await transport('socket');
  await shot('confirming');
  await page.click('#succeed');
  await state('succeeded');
  await shot('succeeded');
  assert.match(await text('lines'), /v\d succeeded/);
});

test('failed, then paid again: the same order, and the old failure is not the result', async () => {
  await page.click('#primary');
  await transport('socket');
  const orderId = await text('order');
  await page.click('#fail');
  await state('failed');
  await page.click('#primary');
  await state('confirming');
  await transport('socket');
  await page.click('#succeed');
  await state('succeeded');
  assert.equal(await text('order'), orderId);
});

test('late: check later, and the watch goes on', async () => {
  await page.goto(`http://127.0.0.1:${server.address().port}/?late_s=0.5`);
  await page.click('#primary');
  await state('later');
  await page.click('#succeed');
  await state('succeeded');
});

test('a service that does not allow the origin: the page says so', async () => {
  const closed = http.createServer((request, response) => response.writeHead(request.method === 'OPTIONS' ? 403 : 200).end('{}'));
  await new Promise((resolve) => closed.listen(0, '127.0.0.1', resolve));
  const { service } = server;
  server.service = `http://127.0.0.1:${closed.address().port}`;
  try {
    await page.reload();
    await page.click('#primary');
    await page.waitForFunction(() => /http\.allowed_origins/.test(document.getElementById('trouble').textContent));
    assert.equal(await page.isVisible('#trouble'), true);
  } finally {
    server.service = service;
    closed.close();
    closed.closeAllConnections();
  }
});

test('offline and back: the result that came meanwhile is shown', async () => {
  await page.click('#primary');
  await transport('socket');
  const orderId = await text('order');
  await context.setOffline(true);
  backend.proxy.cutMidFrame();
  await backend.publish(orderId, 'succeeded');
  await new Promise((resolve) => setTimeout(resolve, 2500));
  assert.equal(await page.getAttribute('#state', 'data-state'), 'confirming');
  await shot('offline');
  await context.setOffline(false);
  await state('succeeded');
});

test('sockets forbidden by a proxy: a long poll', async () => {
  backend.proxy.forbidsSockets = true;
  try {
    await page.click('#primary');
    await transport('long_poll');
    await page.click('#succeed');
    await state('succeeded');
  } finally {
    backend.proxy.forbidsSockets = false;
  }
});

test('a connection that breaks: asked again, and the origin is not blamed', async () => {
  const withoutTicket = [];
  page.on('request', (request) => /\/v1\/payments\//.test(request.url()) && !request.headers().authorization && withoutTicket.push(request.url()));
  backend.proxy.forbidsSockets = true;
  try {
    await page.click('#primary');
    await transport('long_poll');
    let broken;
    const breaks = new Promise((resolve) => (broken = resolve));
    await page.route('**/v1/payments/**', (route) => route.abort('connectionreset').then(broken), { times: 1 });
    await backend.publish(await text('order'), 'processing');
    await breaks;
    await backend.publish(await text('order'), 'succeeded');
    await state('succeeded');
    assert.deepEqual(withoutTicket, []);
  } finally {
    backend.proxy.forbidsSockets = false;
  }
});

test('three ways side by side', async () => {
  for (const id of ['polling-toggle', 'socket-toggle', 'sdk-toggle']) await page.click(`#${id}`);
  await page.waitForFunction(() => document.getElementById('socket-state').textContent === 'open');
  await page.click('#socket-send');
  await page.waitForFunction(() => document.getElementById('socket-frame').textContent === 'subscribed');
  await page.waitForFunction(() => document.getElementById('sdk-transport').textContent === 'socket');
  await page.waitForFunction(() => Number(document.getElementById('polling-wasted').textContent) >= 2);
  // Just after a poll: one that comes by chance at once would be as fast as anything.
  const wasted = Number(await text('polling-wasted'));
  await page.waitForFunction((before) => Number(document.getElementById('polling-wasted').textContent) > before, wasted);
  await page.click('#publish');
  await page.waitForFunction(() => ['sdk', 'socket', 'polling'].every((way) => document.getElementById(`${way}-known`).textContent !== '–'));
  await shot('ways');
  const known = async (way) => Number.parseInt(await text(`${way}-known`), 10);
  assert.ok((await known('sdk')) < (await known('polling')));
  await page.click('#socket-toggle');
  await page.waitForFunction(() => document.getElementById('socket-state').textContent === 'closed');
});
