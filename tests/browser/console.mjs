// Takes the pictures of docs/console: RabbitMQ's console in Chromium, with two nodes of the service at work. scripts/screenshots
// runs it and says by the environment where everything is.
//
// Nothing here waits for a fixed time: each picture waits for what it shall show.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openBrowser } from "./chromium.mjs";
import { startNode, stop } from "./service.mjs";

const { MANAGEMENT_URL, RABBITMQ_USER, RABBITMQ_PASSWORD, PICTURES } = process.env;
const STEP_MS = 60_000;
const WIDTH = 1180;
const RESULTS = "payment-notifier.results";
const LETTERS = "payment-notifier.dead-letters";

async function api(method, path, body) {
  const login = Buffer.from(`${RABBITMQ_USER}:${RABBITMQ_PASSWORD}`).toString("base64");
  const headers = { authorization: `Basic ${login}`, "content-type": "application/json" };
  const answer = await fetch(`${MANAGEMENT_URL}/api/${path}`, { method, headers, body: body && JSON.stringify(body) });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
  return answer.status === 204 ? undefined : answer.json();
}

async function until(what, condition) {
  const deadline = Date.now() + STEP_MS;
  for (;;) {
    const value = await condition();
    if (value) return value;
    assert.ok(Date.now() < deadline, `${what}: not within ${STEP_MS / 1000} s`);
    await new Promise((done) => setTimeout(done, 250));
  }
}

const queue = (name) => api("GET", `queues/payments/${name}`);

function publish(payload) {
  const message = { properties: { delivery_mode: 2 }, routing_key: "payment.result.wechat_pay", payload, payload_encoding: "string" };
  return api("POST", "exchanges/payments/payments/publish", message);
}

const result = (n, status) => JSON.stringify({
  event_id: `evt-${n}`, merchant_id: "shop", order_id: `T20260131-${String(n).padStart(4, "0")}`, status,
  occurred_at: "2026-01-31T09:30:00Z", amount: { value: 1999, currency: "CNY" }, provider: "wechat_pay",
});

const folder = await mkdtemp(join(tmpdir(), "payment-notifier-pictures-"));
let close;
const nodes = [];
try {
  nodes.push(startNode("till-1", folder), startNode("till-2", folder));
  await until("both nodes consume", async () => (await queue(RESULTS)).consumers === 2);
  for (let n = 1; n <= 60; n++) await publish(result(n, "succeeded"));
  await publish("hunter2");
  await publish(result(61, "PAID"));
  await publish(result(62, "SUCCESS"));
  await until("the dead letters are there", async () => (await queue(LETTERS)).messages_ready === 3);
  await until("the results are taken", async () => (await queue(RESULTS)).messages === 0);

  const chromium = await openBrowser({
    stepMs: STEP_MS,
    colorScheme: "light",
    // So tall that nothing is scrolled: the console scrolls a part of its page, which a clip does not know.
    viewport: { width: WIDTH, height: 2600 },
  });
  close = chromium.close;
  const page = await chromium.browser.newPage();

  /** Down to the bottom of the last thing that it shall show. */
  async function picture(name, last, from) {
    await page.evaluate(() => document.activeElement?.blur());
    let end;
    // What is unfolded slides.
    await until("the page stands still", async () => {
      const before = JSON.stringify(end);
      end = await last.boundingBox();
      return JSON.stringify(end) === before;
    });
    const top = from ? Math.floor((await from.boundingBox()).y) - 12 : 0;
    const clip = { x: 0, y: top, width: WIDTH, height: Math.ceil(end.y + end.height) + 12 - top };
    await page.screenshot({ path: join(PICTURES, `${name}.png`), clip, animations: "disabled" });
  }
  const open = (path) => page.goto(`${MANAGEMENT_URL}/#/${path}`);
  const section = (title) => page.locator("div[class^=section]", { has: page.locator(`h2:has-text("${title}")`) });
  async function unfold(title) {
    const heading = page.locator(`h2:has-text("${title}")`);
    await heading.waitFor();
    if (!(await section(title).locator(".hider").isVisible())) await heading.click();
    await section(title).locator(".hider").waitFor({ state: "visible" });
    return section(title);
  }

  await page.goto(MANAGEMENT_URL);
  await page.fill("input[name=username]", RABBITMQ_USER);
  await page.fill("input[name=password]", RABBITMQ_PASSWORD);
  await page.click("input[value=Login]");
  await page.locator("h1:has-text('Overview')").waitFor();
  await until("the console has counted", async () => (await api("GET", "overview")).queue_totals.messages_ready === 3);
  await page.reload();
  await page.locator("#global-counts").waitFor();
  await picture("overview", page.locator("#global-counts"));

  await open("connections");
  await page.locator("td:has-text('payment-notifier publisher till-1'), td:has-text('payment-notifier publisher till-2')").first().waitFor();
  await page.locator("td:has-text('payment-notifier consumer till-2')").waitFor();
  await picture("connections", page.locator("table.list").first());

  await open(`queues/payments/${RESULTS}`);
  await page.locator(`h1:has-text("${RESULTS}")`).waitFor();
  const consumers = await unfold("Consumers");
  await consumers.locator(`td:has-text("payment-notifier.results.till-2")`).waitFor();
  await picture("queue", consumers);

  await open(`queues/payments/${LETTERS}`);
  const get = await unfold("Get messages");
  await get.locator("select[name=ackmode]").selectOption("ack_requeue_true");
  await get.locator("input[name=count]").fill("1");
  await get.locator("input[type=submit]").click();
  await page.locator("#msg-wrapper", { hasText: "x-reason" }).waitFor();
  await picture("dead-letter", page.locator("#msg-wrapper"), get);

  const move = await unfold("Move messages");
  await move.locator("input[name=dest-queue]").fill(RESULTS);
  await picture("move", move, move);

  for (const node of nodes.splice(0)) await stop(node);
  for (let n = 100; n < 220; n++) await publish(result(n, "succeeded"));
  await until("the console sees the lag", async () => {
    const { messages_ready: ready, consumers: left } = await queue(RESULTS);
    return ready === 120 && left === 0;
  });
  await open("queues");
  await page.locator("tr", { hasText: RESULTS }).locator("td", { hasText: /^120$/ }).first().waitFor();
  await picture("lag", page.locator("table.list").first());

  await open("policies");
  const form = await unfold("Add / update a policy");
  await form.locator("select[name=vhost]").selectOption("payments");
  for (const [field, value] of [["name", RESULTS], ["pattern", "^payment-notifier\\.results$"], ["priority", "10"]]) {
    await form.locator(`input[name=${field}]`).fill(value);
  }
  await form.locator("select[name=apply-to]").selectOption("queues");
  const definition = [
    ["dead-letter-exchange", LETTERS], ["dead-letter-strategy", "at-least-once"], ["overflow", "reject-publish"], ["delivery-limit", "50"],
  ];
  for (const [at, [key, value]] of definition.entries()) {
    await form.locator(`input[name=definition_${at + 1}_mfkey]`).fill(key);
    await form.locator(`input[name=definition_${at + 1}_mfvalue]`).fill(value);
    // The form adds the next line when it hears a key.
    await form.locator(`input[name=definition_${at + 1}_mfvalue]`).press("End");
  }
  await form.locator("select[name=definition_4_mftype]").selectOption("number");
  // So that each value can be read.
  await page.addStyleTag({ content: "form input[type=text] { width: 270px !important; }" });
  await picture("policy", form, form);
} finally {
  await close?.();
  for (const node of nodes) await stop(node);
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}
