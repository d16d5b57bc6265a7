// What the pages do, drawn by one of the tool's two compilers.
const { startStandin } = require('../../../../clients/miniprogram/build/support.cjs');
const config = require('../../config');
const { createPhone, until } = require('./phone');

exports.runPages = (compiler) => {
  let backend;
  let phone;
  let page;

  beforeAll(async () => {
    backend = await startStandin();
    config.service = backend.url;
    phone = createPhone(compiler);
  });
  afterEach(async () => {
    page.unload();
    // What the test itself waits with is gone by the next look.
    await until(`quiet, but ${phone.device.live()} ${phone.timers.size} timers`, () => !phone.device.live().length && phone.timers.size <= 1, 3000);
  });
  afterAll(() => backend.close());

  describe('cashier', () => {
    beforeEach(() => {
      page = phone.open('cashier');
    });
    const settle = (status) => backend.publish(page.data().orderId, status);
    const shows = (state) => until(state, () => page.shows(`.${state}`));

    test('ready, confirming, paid', async () => {
      expect(page.text('.amount')).toBe('¥19.99');
      page.tap('.pay');
      await shows('confirming');
      expect(page.text('.confirming')).toContain('支付结果确认中');
      await until('the socket', () => phone.device.live().some((name) => name.startsWith('socket')));
      page.tap('.settle-succeeded');
      await shows('succeeded');
      expect(page.text('.succeeded')).toContain('支付成功');
      expect(page.shows('.confirming')).toBe(false);
    });

    test('failed, with the reason that the provider gives', async () => {
      page.tap('.pay');
      await shows('confirming');
      page.tap('.settle-failed');
      await shows('failed');
      expect(page.text('.failed')).toContain('支付渠道告知本次支付失败');
      const before = page.data().orderId;
      page.tap('.new');
      await shows('ready');
      expect(page.data().orderId).not.toBe(before);
    });

    test('expired', async () => {
      page.tap('.pay');
      await shows('confirming');
      await settle('expired');
      await shows('closed');
    });

    test('failed, then paid again: the same order, and the old failure is not the result', async () => {
      page.tap('.pay');
      await shows('confirming');
      page.tap('.settle-failed');
      await shows('failed');
      const before = page.data().orderId;
      page.tap('.pay');
      await shows('confirming');
      page.tap('.settle-succeeded');
      await shows('succeeded');
      expect(page.data().orderId).toBe(before);
    });

    test('late: never failed, do not pay again, and the result is shown when it comes', async () => {
      const sooner = Date.now;
      page.tap('.pay');
      await shows('confirming');
      await until('the socket', () => phone.device.live().some((name) => name.startsWith('socket')));
      await new Promise((resolve) => setTimeout(resolve, 300));
      // The clock goes on while the page is away.
      phone.device.background();
      Date.now = () => sooner() + 100000;
      try {
        phone.device.foreground(0);
        await shows('later');
        expect(page.text('.later')).toContain('请稍后在订单中查看结果，请勿重复支付');
        expect(page.shows('.pay')).toBe(false);
        await settle('succeeded');
        await shows('succeeded');
      } finally {
        Date.now = sooner;
      }
    });

    test('the payment sheet was closed: one may pay, and a late success shows all the same', async () => {
      const { request } = global.wx;
      global.wx.request = (options) => (options.data && options.data.status === 'processing' ? options.fail({ errMsg: 'cancel' }) : request(options));
      try {
        page.tap('.pay');
        await until('ready again', () => page.data().state === 'ready' && page.shows('.pay'));
      } finally {
        global.wx.request = request;
      }
      await settle('succeeded');
      await shows('succeeded');
    });

    test('left while it waits', async () => {
      page.tap('.pay');
      await shows('confirming');
      await until('the socket', () => phone.device.live().some((name) => name.startsWith('socket')));
    });

    test('its links', async () => {
      page.tap('.to-ways');
      page.tap('.to-developer');
      await until('two pages', () => phone.visited.length === 2);
      expect(phone.visited).toEqual(['/pages/ways/ways', `/pages/developer/developer?orderId=${page.data().orderId}`]);
    });
  });

  describe('ways', () => {
    beforeEach(() => {
      page = phone.open('ways');
    });

    test('side by side: polling asks in vain, the others are told', async () => {
      page.tap('.toggle-polling');
      page.tap('.toggle-sdk');
      page.tap('.toggle-socket');
      await until('connected', () => page.text('.socket-state') === 'open' && page.text('.transport') === 'socket');
      page.tap('.send');
      await until('subscribed', () => page.text('.frame') === 'subscribed');
      await until('two polls in vain', () => page.data().polling.wasted >= 2, 8000);
      page.tap('.publish');
      await until('socket and SDK know', () => page.data().socket.status === 'succeeded' && page.data().sdk.status === 'succeeded');
      expect(page.data().polling.status).toBe('');
      await until('polling knows', () => page.data().polling.status === 'succeeded', 4000);
      expect(page.data().sdk.told).toBe(1);
      expect(page.data().polling.ms).toBeGreaterThan(page.data().sdk.ms);
      expect(page.data().polling.on).toBe(false);
      page.tap('.toggle-socket');
      await until('closed', () => page.text('.socket-state') === 'closed');
    });

    test('left with everything on', async () => {
      page.tap('.toggle-polling');
      page.tap('.toggle-sdk');
      page.tap('.toggle-socket');
      page.tap('.send');
      await until('connected', () => page.text('.socket-state') === 'open');
    });
  });

  describe('developer', () => {
    beforeEach(() => {
      page = phone.open('developer', { orderId: 'D1' });
    });

    test('transport, reconnects, milliseconds', async () => {
      expect(page.text('.order')).toBe('D1');
      await until('connected', () => page.text('.transport') === 'socket');
      expect(page.text('.reconnects')).toBe('0');
      backend.proxy.cutMidFrame();
      await backend.publish('D1', 'processing');
      await until('connected again', () => page.text('.reconnects') === '1' && page.text('.transport') === 'socket');
      expect(page.text('.ms')).toMatch(/^\d+ ms$/);
      expect(page.data().lines.some(({ text }) => text === 'v1 processing')).toBe(true);
      page.tap('.toggle');
      await until('stopped', () => page.data().waiting === false);
    });
  });

  describe('a component with paymentComponent', () => {
    test('waits while it is attached, pays again, and ends with it', async () => {
      const orderId = `C-${compiler}`;
      page = phone.openComponent('test/payment-status/payment-status', { orderId });
      const shows = (state) => until(state, () => page.text('.show') === state);
      await shows('confirming');
      await backend.publish(orderId, 'failed');
      await shows('failed');
      page.tap('.again');
      await shows('confirming');
      await until('connected', () => phone.device.live().some((name) => name.startsWith('socket')));
      page.unload();
      await until('quiet', () => !phone.device.live().length);
      expect(page.gone()).toBe(1);
      await backend.publish(orderId, 'succeeded');
      expect(page.text('.show')).toBe('confirming');
    });
  });
};
