// Compiles each project for production with its framework's own compiler, and drives what comes out until the page shows
// `succeeded`, against the real program: web pages in Chromium, mini-programs over the shim of `wx`, Node.js as it is.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';
import * as phone from './phone.mjs';
import { openShop } from './shop.mjs';

const builds = dirname(dirname(fileURLToPath(import.meta.url)));
const sdk = dirname(builds);
const { startProgram } = createRequire(import.meta.url)(join(sdk, 'build/support.cjs'));
const STEP_MS = 30_000;
const BUILD_MS = 300_000;
const FLAGS = '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync';
const [UNI_H5, UNI_WEIXIN, TARO_H5, TARO_WEAPP] = ['uni-app/dist/build/h5', 'uni-app/dist/build/mp-weixin', 'taro/dist/h5', 'taro/dist/weapp'];
const NO_PLATFORM = 'payment-notifier: no connectSocket or request: leave adapter out, or give the right one';

const folder = mkdtempSync(join(tmpdir(), 'payment-notifier-builds-'));
let shop;
let service;
let context;
let orders = 0;

before(async () => {
  await install();
  shop = await openShop();
  process.chdir(sdk); // Where the service's settings are looked for.
  service = await startProgram({ PAYMENT_NOTIFIER__HTTP__ALLOWED_ORIGINS: shop.url });
  shop.ticketFor = (orderId) => service.ticket(orderId, 600);
  const executablePath = process.env.CHROMIUM || '/usr/bin/chromium';
  context = await chromium.launchPersistentContext(join(folder, 'profile'), { executablePath, args: FLAGS.split(' ') });
  context.setDefaultTimeout(STEP_MS);
});
after(async () => {
  await context?.close();
  await service?.close();
  shop?.close();
  shop?.closeAllConnections();
  rmSync(folder, { recursive: true, force: true });
});

/** The package as npm packs it, laid where `npm install` of the tarball would. */
async function install() {
  await run('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], sdk);
  const tarball = join(folder, readdirSync(folder).find((file) => file.endsWith('.tgz')));
  for (const project of ['.', 'uni-app', 'taro']) {
    const into = join(builds, project, 'node_modules/payment-notifier-miniprogram');
    rmSync(into, { recursive: true, force: true });
    mkdirSync(into, { recursive: true });
    await run('tar', ['-xzf', tarball, '-C', into, '--strip-components=1'], builds);
  }
}

/** What it printed; all of it is in the error where it fails. */
async function run(command, args, cwd, timeout = STEP_MS) {
  try {
    return (await promisify(execFile)(command, args, { cwd, timeout, maxBuffer: 2 ** 26, env: { ...process.env, NODE_ENV: 'production' } })).stdout;
  } catch (error) {
    throw new Error(`${command} ${args.join(' ')}: ${error.message}\n${error.stdout}\n${error.stderr}`);
  }
}

async function compile(t, project, script) {
  const started = performance.now();
  await run('npm', ['run', script], join(builds, project), BUILD_MS);
  t.diagnostic(`compiled in ${((performance.now() - started) / 1000).toFixed(1)} s`);
}

async function until(what, condition) {
  const end = Date.now() + STEP_MS;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not within ${STEP_MS} ms: ${typeof what === 'string' ? what : what()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const acknowledged = (orderId) => until('acknowledged', () => service.acknowledged(orderId));

function newOrder() {
  const orderId = `build-${++orders}`;
  return { orderId, query: { orderId, service: encodeURIComponent(service.url), shop: encodeURIComponent(shop.url) } };
}

async function openPage(path, query) {
  const page = await context.newPage();
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && complaints.push(message.text()));
  const subscribed = page.waitForEvent('websocket').then((socket) => socket.waitForEvent('framereceived'));
  subscribed.catch(() => {});
  await page.goto(`${shop.url}/${path}?${Object.entries(query).map((pair) => pair.join('=')).join('&')}`);
  const shows = async (text) => {
    try {
      await page.waitForFunction((wanted) => document.getElementById('state')?.textContent.trim() === wanted, text);
    } catch (error) {
      throw new Error(`${error.message}: not ${text} but ${await page.textContent('body')}; ${complaints}`);
    }
  };
  return { page, complaints, shows, subscribed };
}

async function succeedsInBrowser(root, path = '') {
  shop.folder = join(builds, root);
  const { orderId, query } = newOrder();
  const { page, complaints, shows, subscribed } = await openPage(path, query);
  await shows('confirming');
  await subscribed;
  await service.publish(orderId, 'succeeded');
  await shows('succeeded');
  await acknowledged(orderId);
  assert.deepEqual(complaints, []);
  await page.close();
}

async function succeedsOnPhone(root, ...routes) {
  const program = phone.startProgram(join(builds, root));
  for (const route of routes) {
    const { orderId, query } = newOrder();
    const page = program.open(route, query);
    const shows = (text) => until(() => `${text}, but ${page.texts()}; ${program.complaints}`, () => page.texts().includes(text));
    await shows('confirming');
    await until(() => `a socket; ${program.complaints}`, () => program.device.live().includes('socket 1'));
    await service.publish(orderId, 'succeeded');
    await shows('succeeded');
    await acknowledged(orderId);
    program.close();
    await until(() => `quiet, but ${program.device.live()}`, () => !program.device.live().length);
  }
  assert.deepEqual(program.complaints, []);
}

test('the READMEs name the versions that are built', () => {
  const named = [
    ['.', ['vite', 'webpack', 'esbuild']],
    ['..', ['typescript']],
    ['uni-app', ['@dcloudio/vite-plugin-uni', 'vue', 'vite']],
    ['taro', ['@tarojs/cli', 'react', 'webpack']],
  ];
  const versions = named.flatMap(([project, names]) => {
    const { dependencies, devDependencies } = JSON.parse(readFileSync(join(builds, project, 'package.json'), 'utf8'));
    return names.map((name) => ({ ...dependencies, ...devDependencies })[name]);
  });
  for (const file of ['README.md', 'README.zh-CN.md']) {
    const text = readFileSync(join(sdk, file), 'utf8');
    assert.deepEqual(versions.filter((version) => !text.includes(version)), [], file);
  }
});

for (const [name, root] of [['vite', 'vite/dist'], ['webpack', 'webpack'], ['esbuild', 'esbuild']]) {
  test(`${name}: a web page`, async (t) => {
    await compile(t, '.', name);
    await succeedsInBrowser(root);
  });
}

test('Node.js: TypeScript of a module and of CommonJS, and each run; without an adapter it throws', async (t) => {
  await compile(t, '.', 'node');
  await compile(t, '.', 'bundler');
  for (const file of ['wait.mjs', 'wait.cjs']) {
    const { orderId } = newOrder();
    await service.publish(orderId, 'succeeded');
    const said = await run(process.execPath, [join(builds, 'node/dist', file), service.url, orderId, service.ticket(orderId, 600)], builds);
    assert.deepEqual(said.trim().split('\n').at(-1), 'succeeded', file);
    await acknowledged(orderId);
  }
  const loads = { commonjs: "const sdk = require('payment-notifier-miniprogram')", module: "import * as sdk from 'payment-notifier-miniprogram'" };
  for (const [type, load] of Object.entries(loads)) {
    const code = `${load}; try { sdk.watchPayment({ url: 'http://a', orderId: 'A', ticket: 't' }) } catch (error) { console.log(error.message) }`;
    assert.equal((await run(process.execPath, [`--input-type=${type}`, '-e', code], builds)).trim(), NO_PLATFORM, type);
  }
});

test('uni-app for H5: a web page; and a `uni` that is handed on, which is empty there, is told of', async (t) => {
  await compile(t, 'uni-app', 'build:h5');
  await succeedsInBrowser(UNI_H5, '#/pages/cashier/cashier');
  const { page, shows } = await openPage('#/pages/adapter/adapter', newOrder().query);
  await shows(NO_PLATFORM);
  await page.close();
});

test('uni-app for H5: the composable', () => succeedsInBrowser(UNI_H5, '#/pages/composable/composable'));

test('uni-app for WeChat, also where `uni` is handed on', async (t) => {
  await compile(t, 'uni-app', 'build:mp-weixin');
  await succeedsOnPhone(UNI_WEIXIN, 'pages/cashier/cashier', 'pages/adapter/adapter');
});

test('uni-app for WeChat: the composable', () => succeedsOnPhone(UNI_WEIXIN, 'pages/composable/composable'));

test('Taro for H5: a web page', async (t) => {
  await compile(t, 'taro', 'build:h5');
  await succeedsInBrowser(TARO_H5, '#/pages/cashier/index');
});

test('Taro for H5: the hook', () => succeedsInBrowser(TARO_H5, '#/pages/hook/index'));

test('Taro for WeChat', async (t) => {
  await compile(t, 'taro', 'build:weapp');
  await succeedsOnPhone(TARO_WEAPP, 'pages/cashier/index');
});

test('Taro for WeChat: the hook', () => succeedsOnPhone(TARO_WEAPP, 'pages/hook/index'));
