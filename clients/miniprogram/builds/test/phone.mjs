// A phone for programs that a framework has compiled: it runs their files over the repository's shim of `wx`, and keeps the data
// of the page that is open. As on a phone there is no DOM, no `fetch` and no Node.js within.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import vm from 'node:vm';

const { createDevice } = createRequire(import.meta.url)('../../build/support.cjs');

/** What the frameworks ask of the device while they start. */
const INFO = {
  platform: 'android', system: 'Android 14', brand: 'test', model: 'test', language: 'zh_CN', version: '8.0.50', SDKVersion: '3.7.0',
  appName: 'test', theme: 'light', pixelRatio: 2, windowWidth: 375, windowHeight: 667, screenWidth: 375, screenHeight: 667, statusBarHeight: 20,
  safeArea: { left: 0, right: 375, top: 20, bottom: 667, width: 375, height: 647 },
};
const LAUNCH = { path: '', query: {}, scene: 1001, referrerInfo: {} };

/** Runs the program in `folder`. `open` shows one of its pages, and `close` leaves it. */
export function startProgram(folder) {
  const device = createDevice('wx');
  const stored = new Map();
  const wx = {
    ...device.api,
    getSystemInfoSync: () => INFO,
    getAppBaseInfo: () => INFO,
    getDeviceInfo: () => INFO,
    getWindowInfo: () => INFO,
    getSystemSetting: () => INFO,
    getAccountInfoSync: () => ({ miniProgram: { appId: 'wx0', envVersion: 'release' } }),
    getLaunchOptionsSync: () => LAUNCH,
    getEnterOptionsSync: () => LAUNCH,
    getStorageSync: (key) => stored.get(key) ?? '',
    setStorageSync: (key, value) => stored.set(key, value),
    setStorage: ({ key, data }) => stored.set(key, data),
    nextTick: (run) => setTimeout(run, 0),
    canIUse: () => true,
  };
  const pages = [];
  const complaints = [];
  const complain = (...words) => complaints.push(words.map(String).join(' '));
  let app;
  let defined;
  const context = vm.createContext({
    wx, setTimeout, clearTimeout, setInterval, clearInterval,
    console: { log() {}, info() {}, debug() {}, warn: complain, error: complain },
    App: (options) => (app = options),
    getApp: () => app,
    getCurrentPages: () => pages,
    Behavior: (options) => options,
    Page: (options) => (defined = options),
    Component: (options) => (defined = { ...options, ...options.methods }),
  });
  vm.runInContext('var global = globalThis;', context);

  const modules = new Map();
  function load(file) {
    const known = modules.get(file);
    if (known) return known.exports;
    const module = { exports: {} };
    modules.set(file, module);
    const wrapper = vm.compileFunction(readFileSync(file, 'utf8'), ['require', 'module', 'exports'], { filename: file, parsingContext: context });
    wrapper((name) => load(join(dirname(file), name.endsWith('.js') ? name : `${name}.js`)), module, module.exports);
    return module.exports;
  }

  load(join(folder, 'app.js'));
  app.onLaunch?.(LAUNCH);
  app.onShow?.(LAUNCH);

  return {
    device,
    complaints,
    open(route, query) {
      load(join(folder, `${route}.js`));
      const page = createPage(defined, route, query);
      pages.push(page);
      page.call('created');
      page.call('attached');
      page.onLoad(query);
      page.onShow?.();
      page.call('ready');
      page.onReady?.();
      return page;
    },
    close() {
      const page = pages.pop();
      page.onUnload?.();
      page.call('detached');
    },
  };
}

function createPage(definition, route, query) {
  const defaults = Object.entries(definition.properties || {}).map(([name, property]) => [name, property?.value ?? null]);
  const page = Object.assign(Object.create(definition), {
    is: route,
    route,
    options: query,
    data: { ...Object.fromEntries(defaults), ...structuredClone(definition.data || {}) },
    properties: {},
    setData(changes, done) {
      for (const [path, value] of Object.entries(changes)) put(page.data, path.match(/[^.[\]]+/g), value);
      if (done) setTimeout(() => done.call(page), 0);
    },
    call: (name) => (definition.lifetimes?.[name] || definition[name])?.call(page),
    triggerEvent() {},
    selectComponent: () => null,
    selectAllComponents: () => [],
    /** Every text among its data: the page's own, and those of the nodes that Taro makes. */
    texts: () => textsOf(page.data),
  });
  return page;
}

function put(data, [name, ...rest], value) {
  if (!rest.length) data[name] = value;
  else put((data[name] ??= /^\d+$/.test(rest[0]) ? [] : {}), rest, value);
}

function textsOf(value) {
  if (typeof value === 'string') return [value];
  return value && typeof value === 'object' ? Object.values(value).flatMap(textsOf) : [];
}
