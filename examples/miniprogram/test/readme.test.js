// The pages of the SDK's READMEs, scripts and templates: only the addresses are others, and what is tapped can be found.
const fs = require('fs');
const os = require('os');
const path = require('path');
const { startStandin } = require('../../../clients/miniprogram/build/support.cjs');
const config = require('../config');
const { createPhone, until } = require('./support/phone');

const READMES = ['README.md', 'README.zh-CN.md'];
let folder;
let backend;
let phone;

beforeAll(async () => {
  backend = await startStandin();
  config.service = backend.url;
  global.fetchTicket = require('../services/shop').ticketFor;
  // The official compiler takes all templates of a folder at once, and one folder in a process.
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'payment-notifier-readme-'));
  READMES.forEach(writePages);
  phone = createPhone('official');
});
afterAll(async () => {
  fs.rmSync(folder, { recursive: true });
  await backend.close();
});

function writePages(file) {
  const text = fs.readFileSync(path.join(__dirname, '../../../clients/miniprogram', file), 'utf8');
  const pages = [...text.matchAll(/`cashier\.js`\n+```js\n(.*?)```.*?`cashier\.wxml`\n+```xml\n(.*?)```/gs)];
  pages.forEach(([, script, template], i) => {
    const write = (end, content) => fs.writeFileSync(path.join(folder, `${file}-${i}.${end}`), content);
    write('js', script.replace(/https:\/\/pay\.example\.com/g, backend.url).replace('https://shop.example.com/payment-ticket', `${backend.url}/demo/api/tickets`));
    write('wxml', `<view class="page">${template.replace(/<button /g, '<button class="tap" ')}</view>`);
    write('json', '{}');
  });
}

test.each(READMES.flatMap((file) => [0, 1].map((i) => [file, i])))('%s, page %i: failed, paid again, paid', async (file, i) => {
  const orderId = `R${i}-${file.length}`;
  const page = phone.openAt(path.join(folder, `${file}-${i}`), { orderId }, folder);
  const says = (pattern) => until(pattern, () => pattern.test(page.text('.page')));
  try {
    await says(/Confirming|确认中/);
    await backend.publish(orderId, 'failed');
    await says(/Not paid|支付未成功/);
    page.tap('.tap');
    await says(/Confirming|确认中/);
    await backend.publish(orderId, 'succeeded');
    await says(/Paid|支付成功/);
  } finally {
    page.unload();
  }
  await until('quiet', () => !phone.device.live().length, 3000);
});
