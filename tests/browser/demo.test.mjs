// Opens the demo page of a running payment-notifier in Chromium and pays, as a person would.
//
//   DEMO_URL      address of the program's page side, e.g. http://127.0.0.1:8080 (it must serve /demo)
//   CHROMIUM      path of the browser, /usr/bin/chromium if not set
//   SCREENSHOTS   folder for pictures; none are taken if not set
//
// Nothing here waits for a fixed time: each step waits for what the page shows, and a page that never shows it fails.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { hear, openBrowser } from "./chromium.mjs";
import { startWire } from "./wire.mjs";

const BASE = (process.env.DEMO_URL ?? "").replace(/\/(demo\/?)?$/, "");
const SHOTS = process.env.SCREENSHOTS;
const STEP_MS = 20_000;
const PHONE = { width: 390, height: 844 };
const TRANSPORTS = ["websocket", "sse", "long-poll", "poll"];

let browser, close, page, wire;
/** What the console said and what the page threw. */
let complaints;

before(async () => {
  assert.ok(BASE, "DEMO_URL is not set");
  wire = await startWire(BASE);
  if (SHOTS) await mkdir(SHOTS, { recursive: true });
  ({ browser, close } = await openBrowser({ stepMs: STEP_MS, viewport: PHONE }));
});

after(async () => {
  await close?.();
  wire?.close();
});

beforeEach(async () => {
  complaints = [];
  page = await browser.newPage();
  hear(page, () => complaints);
});

afterEach(async () => {
  await setOffline(false);
  await page.close();
});

async function open(query = "") {
  const answer = await page.goto(`${wire.url}/demo${query}`);
  assert.equal(answer.status(), 200);
  await live();
  return answer;
}

/** Chromium's own switch leaves open sockets alone, so the wire is cut as well. */
async function setOffline(offline) {
  if (offline) wire.cut();
  else wire.mend();
  await browser.setOffline(offline);
}

const app = (selector) => page.waitForSelector(`#app${selector}`);
const live = () => app("[data-link=live]");
const phase = (name) => app(`[data-phase=${name}]`);
const text = async (id) => (await page.textContent(`#${id}`)).trim();
const publish = (status) => page.click(`[data-publish=${status}]`);
const came = (status, via) => page.waitForSelector(`#events [data-kind=came][data-status=${status}]${via ? `[data-via=${via}]` : ""}`);
const choose = (transport) => page.locator(`input[value=${transport}]`).check({ force: true });
const quiet = () => assert.deepEqual(complaints, []);

async function picture(name) {
  if (SHOTS) await page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true });
}

/** The order as the service gives it to a page with a ticket. Asked from this process: the page may be offline. */
async function asStored(order_id) {
  const { ticket } = await (await post("tickets", { order_id })).json();
  const answer = await fetch(`${BASE}/v1/payments/${order_id}`, { headers: { Authorization: `Bearer ${ticket}` } });
  return answer.json();
}

/** Publishes, and comes back when the service has stored it. */
async function publishFromOutside(order_id, status) {
  const answer = await post("payments", { order_id, status, amount: { value: 1999, currency: "CNY" } });
  assert.equal(answer.status, 202);
  const until = Date.now() + STEP_MS;
  while ((await asStored(order_id)).status !== status) assert.ok(Date.now() < until, `${order_id} is not ${status}`);
}

const post = (name, body) =>
  fetch(`${BASE}/demo/api/${name}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

describe("the demo cashier", { concurrency: false }, () => {
  for (const transport of TRANSPORTS) {
    test(`a payment is shown over ${transport}: confirming, processing, succeeded`, async () => {
      await open(`?transport=${transport}`);
      await phase("ready");
      await page.click("#primary");
      await phase("confirming");
      assert.match(await text("headline"), /Confirming/);

      await publish("processing");
      await came("processing", transport);
      assert.match(await text("headline"), /Confirming/);
      await publish("succeeded");
      await phase("succeeded");
      await came("succeeded", transport);
      assert.equal(await text("headline"), "Paid");
      assert.equal(await text("fact-version"), "2");
      assert.match(await text("took"), /^[\d,]+ ms from click to page/);

      await page.waitForFunction(() => document.getElementById("fact-acked").textContent === "version 2");
      const stored = await asStored(await text("order"));
      assert.deepEqual([stored.status, stored.version, stored.final], ["succeeded", 2, true]);
      await picture(`paid-${transport}`);
      quiet();
    });
  }

  test("a failure is shown as the provider's word, and money that moves after all wins", async () => {
    await open();
    await publish("failed");
    await phase("failed");
    await picture("failed");
    await publish("succeeded");
    await phase("succeeded");
    assert.equal(await text("fact-version"), "2");
    quiet();
  });

  test("a failure after the success changes nothing", async () => {
    await open();
    await publish("succeeded");
    await phase("succeeded");
    await publish("failed");
    await page.waitForFunction(() => /changes nothing/.test(document.getElementById("events").textContent));
    assert.equal(await text("headline"), "Paid");
    assert.equal(await text("fact-version"), "1");
    quiet();
  });

  test("every status has a button, and a refund comes after the success", async () => {
    await open();
    await page.click(".more summary");
    for (const [status, name] of [["requires_action", "action"], ["authorized", "held"], ["expired", "expired"], ["succeeded", "succeeded"]]) {
      await publish(status);
      await phase(name);
    }
    for (const refund of ["partial", "full"]) {
      await page.click(`[data-refund=${refund}]`);
      await page.waitForSelector(`#events [data-kind=came][data-refund=${refund}]`);
    }
    assert.equal(await text("refund"), "Refunded in full.");
    await picture("refunded");
    quiet();
  });

  test("an event that comes again counts once, and one that comes too late changes nothing", async () => {
    await open();
    await page.click(".more summary");
    assert.ok(await page.locator("[data-again]").isDisabled());
    await page.click("[data-out-of-order]");
    await phase("succeeded");
    const said = (words) => page.waitForFunction((words) => document.getElementById("events").textContent.includes(words), words);
    await said("changes nothing");
    await page.click("[data-again]");
    await said("it counts once");
    assert.equal(await text("fact-version"), "1");
    quiet();
  });

  test("after Pay the page says what to press; the connection and its round trip show at once; operators' page is a click away", async () => {
    for (const transport of TRANSPORTS) {
      await open(`?transport=${transport}`);
      await page.waitForFunction(() => /ms$/.test(document.getElementById("fact-ping").textContent));
      assert.equal(await text("fact-link"), "open", transport);
    }
    assert.ok(await page.locator("#press").isHidden());
    await page.click("#primary");
    await phase("confirming");
    assert.match(await text("press"), /press “Processing” or “Succeeded”/);
    await publish("succeeded");
    await phase("succeeded");
    assert.ok(await page.locator("#press").isHidden());
    const timeline = await fetch(await page.getAttribute("#timeline", "href"));
    assert.ok((await timeline.text()).includes(await text("order")));
    quiet();
  });

  test("the comparison plays by itself", async () => {
    await page.goto(`${BASE}/demo/compare?play&sleep_s=2`);
    await page.waitForSelector("[data-played=twice]", { timeout: 3 * STEP_MS });
    const slot = (situation, side, name) => page.textContent(`[data-situation=${situation}] [data-side=${side}] [data-slot=${name}]`);
    for (const situation of ["paid", "asleep", "twice"]) {
      for (const side of ["timer", "service"]) assert.match(await slot(situation, side, "known"), /^Succeeded, .*\d\sms/, `${situation}, ${side}`);
    }
    // A ticket, a first look and a socket; more where the machine is slow enough for another way.
    assert.ok(Number(await slot("paid", "service", "requests")) >= 3);
    assert.ok(await page.locator("[data-situation=lost] [data-play]").isDisabled(), "there is no provider to query");
    const timeline = await fetch(await page.getAttribute("[data-situation=twice] [data-slot=timeline]", "href"));
    assert.match(await timeline.text(), /paid_twice/);
    for (const [name, viewport] of Object.entries({ phone: PHONE, desktop: { width: 1280, height: 900 } })) {
      await page.setViewportSize(viewport);
      const [content, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(content <= screen, `${content} px of content on ${screen} px of screen`);
      await picture(`compare-${name}`);
    }
    await page.click("#language");
    assert.match(await page.textContent("h1"), /定时器/);
    quiet();
  });

  test("the transport can be switched while waiting, and nothing is lost or shown twice", async () => {
    await open();
    await page.click("#primary");
    let version = 0;
    for (const transport of ["sse", "long-poll", "poll", "websocket", "sse"]) {
      await choose(transport);
      await live();
      await publish("processing");
      version += 1;
      await app(`[data-version="${version}"]`);
    }
    await publish("succeeded");
    await phase("succeeded");
    assert.equal(await page.locator("#events [data-kind=came]").count(), version + 1);
    assert.equal(await text("fact-reconnects"), "0");
    quiet();
  });

  for (const transport of TRANSPORTS) {
    test(`offline and back over ${transport}: the result that came meanwhile is shown`, async () => {
      await open(`?transport=${transport}`);
      await page.click("#primary");
      const order = await text("order");
      await setOffline(true);
      await app("[data-link=offline]");
      await publishFromOutside(order, "succeeded");
      assert.match(await text("headline"), /Confirming/);
      await picture(`offline-${transport}`);
      await setOffline(false);
      await phase("succeeded");
      await live();
      assert.notEqual(await text("fact-reconnects"), "0");
      // Browser and SDK report by themselves what they could not reach, in the words of whatever the cut met.
      complaints = complaints.filter((line) => !/net::ERR_|WebSocket is closed before|payment-notifier: (socket|request) /.test(line));
      quiet();
    });
  }

  test("a reload goes on with the same order, and a new order starts from nothing", async () => {
    await open();
    const order = await text("order");
    await publish("succeeded");
    await phase("succeeded");
    await page.reload();
    await phase("succeeded");
    assert.equal(await text("order"), order);
    await page.click("#primary");
    await phase("ready");
    assert.notEqual(await text("order"), order);
    quiet();
  });

  test("past its deadline the page says to check later, never that the payment failed", async () => {
    await open("?late_s=0.2");
    await page.click("#primary");
    await phase("late");
    assert.match(await text("explanation"), /Do not pay again/);
    await picture("late");
    await publish("succeeded");
    await phase("succeeded");
    quiet();
  });

  test("both languages, told to assistive technology too", async () => {
    await open();
    assert.equal(await page.getAttribute("html", "lang"), "en");
    await page.click("#language");
    assert.equal(await page.getAttribute("html", "lang"), "zh-CN");
    await page.click("#primary");
    await phase("confirming");
    assert.match(await text("headline"), /确认中/);
    // Focus does not fall off the page with the button that vanished.
    assert.equal(await page.evaluate(() => document.activeElement.id), "headline");
    assert.equal(await page.getAttribute("#status", "aria-live"), "polite");
    await picture("chinese");
    quiet();
  });

  for (const [name, viewport] of Object.entries({ phone: PHONE, small: { width: 320, height: 568 }, desktop: { width: 1280, height: 900 } })) {
    test(`on a ${name} screen nothing is cut off and nothing scrolls sideways`, async () => {
      await page.setViewportSize(viewport);
      await open();
      await publish("processing");
      await came("processing");
      for (const summary of await page.$$("summary")) await summary.click();
      const [content, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(content <= screen, `${content} px of content on ${screen} px of screen`);
      const cut = await page.$$eval("button, .transports span", (all) => all.filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.textContent));
      assert.deepEqual(cut, []);
      await picture(`screen-${name}`);
      quiet();
    });
  }

  test("the page warns, and allows neither foreign nor inline scripts", async () => {
    const answer = await open();
    assert.match(await text("banner"), /anybody who opens this page can publish/i);
    const policy = answer.headers()["content-security-policy"] ?? "";
    assert.match(policy, /default-src 'none'|default-src 'self'/);
    assert.doesNotMatch(policy, /unsafe-inline|unsafe-eval|\*/);
    quiet();
  });
});
