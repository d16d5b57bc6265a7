// Opens the operators' page of a running payment-notifier in Chromium, as a person on call would.
//
//   ADMIN_URL     address of the operators' listener
//   ADMIN_TOKEN   admin.token
//   DEMO_URL      address of the program's page side, which must serve /demo: there payments are published
//   CHROMIUM      path of the browser, /usr/bin/chromium if not set
//   SCREENSHOTS   folder for pictures; none are taken if not set
//
// Two dead letters of one order must wait, and the order `whole-timeline` of the merchant `shop` must have been told a duplicate,
// a stale event and a conflict, and nobody may acknowledge it: it is escalated. Nothing here waits for a fixed time.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { hear, openBrowser } from "./chromium.mjs";

const BASE = process.env.ADMIN_URL ?? "";
const PAGES = (process.env.DEMO_URL ?? "").replace(/\/$/, "");
const SHOTS = process.env.SCREENSHOTS;
const MERCHANT = "demo";
const STEP_MS = 20_000;
const DESKTOP = { width: 1280, height: 900 };
const PHONE = { width: 360, height: 780 };
const SMALL = { width: 320, height: 568 };

let browser, close, page;
let complaints;

before(async () => {
  assert.ok(BASE && PAGES, "ADMIN_URL and DEMO_URL must be set");
  if (SHOTS) await mkdir(SHOTS, { recursive: true });
  ({ browser, close } = await openBrowser({
    stepMs: STEP_MS,
    viewport: DESKTOP,
    httpCredentials: { username: "on-call", password: process.env.ADMIN_TOKEN ?? "" },
  }));
});

after(async () => {
  await close?.();
});

beforeEach(async () => {
  complaints = [];
  page = await browser.newPage();
  hear(page, () => complaints);
});

afterEach(() => page.close());

const quiet = () => assert.deepEqual(complaints, []);

async function open(path) {
  const answer = await page.goto(`${BASE}${path}`);
  assert.equal(answer.status(), 200, path);
  return answer;
}

const isLive = () => page.waitForSelector("#live[data-state=live]");
/** Marks the document, so that a reload would show. */
const mark = () => page.evaluate(() => { window.marked = true; });
const isMarked = () => page.evaluate(() => window.marked === true);
const shows = (selector, part) =>
  page.waitForFunction(([selector, part]) => document.querySelector(selector)?.textContent.includes(part), [selector, part]);

async function post(name, body) {
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(`${PAGES}/demo/api/${name}`, { method: "POST", headers, body: JSON.stringify(body) });
  assert.ok(answer.ok, `${name}: ${answer.status}`);
  return answer.json();
}

const publish = (order_id, status) => post("payments", { order_id, status, amount: { value: 1999, currency: "CNY" } });

/** A page that waits for the order until it is told to stop. */
async function waiting(order_id) {
  const { ticket } = await post("tickets", { order_id });
  const stop = new AbortController();
  const answer = await fetch(`${PAGES}/v1/payments/${order_id}/events`, {
    headers: { Authorization: `Bearer ${ticket}` },
    signal: stop.signal,
  });
  assert.equal(answer.status, 200);
  return { ticket, stop: () => stop.abort() };
}

async function acknowledge(order_id, ticket, version) {
  const headers = { Authorization: `Bearer ${ticket}`, "Content-Type": "application/json" };
  const answer = await fetch(`${PAGES}/v1/payments/${order_id}/ack`, { method: "POST", headers, body: JSON.stringify({ version }) });
  assert.equal(answer.status, 204);
}

const figuresShow = () =>
  page.evaluate(() => {
    const names = [...document.querySelectorAll("#figures dt")];
    const value = (name) => names.find((dt) => dt.textContent.startsWith(name)).nextElementSibling.textContent;
    return parseFloat(value("Events")) > 0 && value("Arrival") !== "–" && value("Dead") === "2look";
  });

/** Words of the picture that a line runs through. */
const struck = () =>
  page.$$eval(".timeline text", (all) => {
    const lines = [...document.querySelectorAll(".timeline .thread")];
    const points = lines.flatMap((line) =>
      Array.from({ length: Math.ceil(line.getTotalLength()) + 1 }, (_, at) => line.getPointAtLength(at)));
    const isStruck = ({ x, y, width, height }) =>
      points.some((point) => point.x > x && point.x < x + width && point.y > y && point.y < y + height);
    return all.filter((text) => !text.matches(".sign") && isStruck(text.getBBox())).map((text) => text.textContent);
  });

async function fits(name) {
  const [content, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(content <= screen, `${name}: ${content} px of content on ${screen} px of screen`);
}

/** Looks at the page on each screen, in each light; nothing may scroll sideways. */
async function onEachScreen(name) {
  for (const [screen, viewport] of Object.entries({ desktop: DESKTOP, phone: PHONE, small: SMALL })) {
    await page.setViewportSize(viewport);
    await fits(`${name} on ${screen}`);
    for (const colorScheme of screen === "small" ? [] : ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      if (SHOTS) await page.screenshot({ path: join(SHOTS, `admin-${name}-${screen}-${colorScheme}.png`), fullPage: true });
    }
  }
  await page.setViewportSize(DESKTOP);
}

describe("the operators' page", { concurrency: false }, () => {
  test("health: events and waiting pages show without a reload", async () => {
    const answer = await open("/");
    const policy = answer.headers()["content-security-policy"];
    assert.match(policy, /default-src 'none'/);
    assert.doesNotMatch(policy, /unsafe|\*/);
    await isLive();
    await mark();
    assert.equal((await page.textContent("h1")).trim(), "Ready");
    const page_ = await waiting("live-1");
    await shows("#pages", "event stream1");
    // Published until it shows, since a rate is of the last seconds.
    const until = Date.now() + STEP_MS;
    while (!(await figuresShow())) {
      assert.ok(Date.now() < until, "the figures stand still");
      await publish("live-1", "processing");
    }
    assert.ok(await isMarked());
    await onEachScreen("health");
    page_.stop();
    await shows("#pages", "event stream0");
    quiet();
  });

  test("an order: found by its number, and its timeline grows while it is looked at", async () => {
    await open("/");
    await page.fill("[name=number]", "timeline-1");
    await page.fill("[name=merchant_id]", MERCHANT);
    await page.click(".finder button");
    await shows("#timeline", "No event of this order has arrived");
    await isLive();
    await mark();
    const page_ = await waiting("timeline-1");
    await publish("timeline-1", "processing");
    await shows("#timeline .verdict", "not final yet");
    await publish("timeline-1", "succeeded");
    await shows("#timeline .verdict", "succeeded, final");
    await acknowledge("timeline-1", page_.ticket, 2);
    await shows("#timeline .verdict", "A page has shown it");
    page_.stop();
    assert.ok(await isMarked());
    assert.ok((await page.locator(".thread").count()) > 0);
    assert.deepEqual(await struck(), []);
    await onEachScreen("order");
    quiet();
  });

  test("a timeline is a picture that is read without its colours, and a table that says the same", async () => {
    await open("/orders/shop/whole-timeline");
    await isLive();
    await shows("#timeline", "payment.undelivered published");
    await shows("#timeline .verdict", "Published for the merchant");
    const drawn = await page.$$eval(".timeline .mark > text:last-child", (all) => all.map((text) => text.textContent));
    assert.deepEqual(drawn, ["v1", "v2", "repeat", "stale", "stale", "conflict", "escalated"]);
    const rows = await page.$$eval(".entries .what strong", (all) => all.map((word) => word.textContent));
    assert.deepEqual(rows, ["arrived", "arrived", "arrived", "arrived", "arrived", "CONFLICT", "escalated"]);
    const picture = page.getByRole("img", { name: "The order's timeline" });
    assert.equal(await picture.count(), 1);
    assert.match(await page.textContent("#timeline-desc"), /CONFLICT, failed_after_succeeded/);
    // Nothing is cut off at the edge of the picture.
    const beyond = await page.$$eval(".timeline text", (all) => {
      const edge = all[0].ownerSVGElement.getBoundingClientRect();
      const isBeyond = (box) => box.left < edge.left - 1 || box.right > edge.right + 1;
      return all.filter((text) => isBeyond(text.getBoundingClientRect())).map((text) => text.textContent);
    });
    assert.deepEqual(beyond, []);
    assert.deepEqual(await struck(), []);
    await onEachScreen("timeline");
    quiet();
  });

  test("what was typed wrongly is said beside the form, and the latest orders stand below it", async () => {
    await open("/orders");
    await onEachScreen("orders");
    await page.click(".orders a >> text=whole-timeline");
    await shows("h1", "whole-timeline");
    await open("/orders");
    await page.fill("[name=number]", "not an order");
    await page.click(".finder button");
    assert.match(await page.textContent("[role=alert]"), /no order has this number/);
    // The browser's own word on the answer's status.
    complaints = complaints.filter((line) => !/status of 404/.test(line));
    quiet();
  });

  test("a dead letter is looked at, shown, and replayed after a confirm step", async () => {
    await open("/");
    await page.click("#figures a[href='/dead-letters']");
    await shows("h1", "Dead letters");
    await shows("main", "unknown_status");
    await onEachScreen("dead-letters");
    await page.click(".dead-letters a.id >> nth=0");
    await shows("main", "routing key");
    assert.equal(await page.locator("pre").count(), 0);
    await onEachScreen("dead-letter");
    await page.click("text=Show the body");
    await shows("pre", "lost-1");
    await page.click("text=Replay…");
    await shows("h1", "Replay this dead letter?");
    await onEachScreen("replay");
    await page.click(".confirm button");
    await shows("h1", "Replayed");
    await page.click("main >> text=All dead letters");
    // It is still wrong, so it comes back, and says so.
    await page.waitForFunction(() => /2 wait in the queue/.test(document.getElementById("waiting").textContent));
    await page.click("text=Look again");
    await shows(".dead-letters", "failed again");
    quiet();
  });

  test("a dead letter leads to its order, and is discarded after a confirm step", async () => {
    await open("/dead-letters");
    await page.click(".dead-letters a.of-order >> nth=0");
    await shows("h1", "lost-1");
    await page.goBack();
    await page.click(".dead-letters a.id >> nth=0");
    await page.click("text=Discard…");
    await shows("h1", "Discard this dead letter?");
    await onEachScreen("discard");
    await page.click(".confirm button");
    await shows("h1", "Discarded");
    await page.click("main >> text=All dead letters");
    await page.waitForFunction(() => /1 wait in the queue/.test(document.getElementById("waiting").textContent));
    quiet();
  });

  test("a node that does not answer is said to be so, and nothing is taken for fresh", async () => {
    await open("/");
    await isLive();
    await page.route("**/*", (route) => route.abort());
    await page.waitForSelector("#live[data-state=stale]");
    await page.unroute("**/*");
    await isLive();
    complaints = complaints.filter((line) => !/net::ERR_/.test(line));
    quiet();
  });

  test("without JavaScript everything is there", async () => {
    const plain = await openBrowser({
      stepMs: STEP_MS,
      javaScriptEnabled: false,
      viewport: PHONE,
      httpCredentials: { username: "", password: process.env.ADMIN_TOKEN ?? "" },
    });
    try {
      const page = await plain.browser.newPage();
      await page.goto(BASE);
      assert.match(await page.textContent("#as-of"), /as of \d\d:\d\d:\d\d/);
      await page.fill("[name=number]", "timeline-1");
      await page.click(".finder button");
      assert.match(await page.textContent("#timeline"), /succeeded, final/i);
      await page.click("nav >> text=Dead letters");
      assert.match(await page.textContent("main"), /unknown_status/);
    } finally {
      await plain.close();
    }
  });
});
