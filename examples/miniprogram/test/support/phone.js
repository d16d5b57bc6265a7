// A phone for the pages: miniprogram-simulate draws them, and in place of its stubs for sockets and requests stand real ones.
const path = require('path');
const simulate = require('miniprogram-simulate');
const { createDevice } = require('../../../../clients/miniprogram/build/support.cjs');

const root = path.resolve(__dirname, '../..');

// The tool draws components; a page is one whose life cycle we call.
global.Page = ({ data, ...methods }) => global.Component({ data, methods, options: { styleIsolation: 'apply-shared' } });

function countTimers() {
  const timers = new Set();
  for (const [set, clear] of [['setTimeout', 'clearTimeout'], ['setInterval', 'clearInterval']]) {
    const originalSet = global[set];
    const originalClear = global[clear];
    global[set] = (run, ms, ...rest) => {
      const timer = originalSet(() => {
        if (set === 'setTimeout') timers.delete(timer);
        run(...rest);
      }, ms);
      timers.add(timer);
      return timer;
    };
    global[clear] = (timer) => {
      timers.delete(timer);
      originalClear(timer);
    };
  }
  return timers;
}

function createPhone(compiler) {
  const device = createDevice('wx');
  const visited = [];
  const ids = new Map();
  Object.assign(global.wx, device.api, { navigateTo: ({ url }) => visited.push(url) });
  const timers = countTimers();

  const open = (page, query) => openAt(path.join(root, 'pages', page, page), query);

  function openAt(file, query = {}, rootPath = root) {
    // A page's script runs once, as in the program.
    if (!ids.has(file)) ids.set(file, simulate.load(file, 'page', { compiler, rootPath }));
    const component = simulate.render(ids.get(file));
    component.attach(document.body);
    component.instance.onLoad(query);
    const find = (selector) => component.querySelector(selector);
    return {
      instance: component.instance,
      data: () => component.instance.data,
      shows: (selector) => !!find(selector),
      text: (selector) => (find(selector) ? find(selector).dom.textContent.trim() : ''),
      tap: (selector) => find(selector).dispatchEvent('tap'),
      // Platforms may say it twice.
      unload() {
        component.instance.onUnload();
        component.instance.onUnload();
        component.detach();
      },
    };
  }

  function openComponent(file, properties) {
    const component = simulate.render(simulate.load(path.join(root, file), 'component', { compiler, rootPath: root }), properties);
    let gone = 0;
    component.addEventListener('gone', () => gone++);
    component.attach(document.body);
    return {
      text: (selector) => component.querySelector(selector).dom.textContent.trim(),
      tap: (selector) => component.querySelector(selector).dispatchEvent('tap'),
      gone: () => gone,
      unload: () => component.detach(),
    };
  }

  return { device, open, openAt, openComponent, timers, visited };
}

async function until(what, condition, withinMs = 10000) {
  const end = Date.now() + withinMs;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

module.exports = { createPhone, until };
