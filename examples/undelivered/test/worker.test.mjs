// The worker as a process, between the real program, the real broker and a fake of WeChat's API.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import amqp from "amqplib";
import { MERCHANT, openVhost, run, startProgram, until } from "../../testing/program.mjs";
import { APPID, SECRET, startFakeWeChat } from "./fake-wechat.mjs";

const UNDELIVERED = dirname(dirname(fileURLToPath(import.meta.url)));
const QUEUE = "shop.undelivered";
const PERMISSIONS = { configure: "^shop\\.undelivered(\\..*)?$", write: "^(amq\\.default|shop\\.undelivered(\\..*)?)$", read: "^(payment-notifier\\.events|shop\\.undelivered(\\..*)?)$" };
const RETRIES_MAX = 2;

let folder;
let vhost;
let program;
let fake;
let worker;
let workerUrl;
let connection;
let channel;

async function startWorker() {
  worker = run(process.execPath, ["worker.mjs", join(folder, "settings.json")], { cwd: UNDELIVERED, env: { AMQP_URL: workerUrl } });
  await worker.line("the worker consumes", (line) => line.includes('"consuming"'));
}
const logged = (orderId, message) => worker.line(`${message}: ${orderId}`, (line) => line.includes(`"${message}"`) && line.includes(`"${orderId}"`));
const sends = (orderId) => fake.sends.filter(({ touser }) => touser === `o-${orderId}`);
const deadCount = async () => (await channel.checkQueue(`${QUEUE}.dead`)).messageCount;
/** The openid of an order's payer is o- and the order; so WeChat's answers are set by order. */
const answers = (orderId, ...list) => fake.behaviours.set(`o-${orderId}`, list);

/** An event as the program publishes it. */
function tell(orderId, { data, ...more } = {}) {
  const event = { specversion: "1.0", id: `payment.undelivered:${MERCHANT}:${orderId}:1`, source: "payment-notifier/test", type: "payment.undelivered", time: new Date().toISOString(), datacontenttype: "application/json", ...more };
  const body = { ...event, data: { merchant_id: MERCHANT, order_id: orderId, version: 1, status: "succeeded", final: true, occurred_at: "2026-01-31T08:30:00+08:00", arrived_at: new Date().toISOString(), amount: { value: 1999, currency: "CNY" }, ...data } };
  channel.publish("payment-notifier.events", "payment.undelivered", Buffer.from(JSON.stringify(body)), { contentType: "application/cloudevents+json" });
}

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "undelivered-"));
  fake = await startFakeWeChat();
  writeFileSync(join(folder, "secret"), SECRET);
  writeFileSync(join(folder, "recipient.mjs"), "export const recipient = async (merchant, order) => (order.startsWith('NOBODY') ? null : { openid: `o-${order}`, product: '一杯咖啡' });");
  const shop = { appid: APPID, secret_file: "secret", template_id: "T1", page: "pages/order?id={order_id}", data: { character_string1: "{order_id}", amount2: "{amount}", phrase3: "{status}", time4: "{time}", thing5: "{product}" }, statuses: { succeeded: "支付成功" }, base_url: fake.url };
  writeFileSync(join(folder, "settings.json"), JSON.stringify({ queue: QUEUE, retry_after_s: 1, retries_max: RETRIES_MAX, timeout_ms: 15000, records_folder: "records", recipient_module: "recipient.mjs", merchants: { [MERCHANT]: shop } }));
  vhost = await openVhost();
  program = await startProgram(vhost, { PAYMENT_NOTIFIER__ESCALATION__ORDERS: "all", PAYMENT_NOTIFIER__ESCALATION__AFTER: "1s" });
  workerUrl = await vhost.userUrl(PERMISSIONS);
  await startWorker();
  connection = await amqp.connect(vhost.url);
  channel = await connection.createChannel();
});
after(async () => {
  await worker?.end();
  await connection?.close();
  await program?.close();
  await vhost?.remove();
  await fake?.close();
  rmSync(folder, { recursive: true, force: true });
});

test("a result that no page has shown is told once, however often the event comes", async () => {
  const event = { event_id: "E1", merchant_id: MERCHANT, order_id: "TOLD1", status: "succeeded", occurred_at: "2026-01-31T08:30:00+08:00", amount: { value: 1999, currency: "CNY" } };
  channel.publish("payments", "payment.result.test", Buffer.from(JSON.stringify(event)));
  await logged("TOLD1", "told");
  tell("TOLD1");
  await logged("TOLD1", "told before, not told again");
  assert.equal(sends("TOLD1").length, 1);
  const { token, behaviour, ...message } = sends("TOLD1")[0];
  assert.deepEqual(message, {
    touser: "o-TOLD1",
    template_id: "T1",
    page: "pages/order?id=TOLD1",
    miniprogram_state: "formal",
    lang: "zh_CN",
    data: { character_string1: { value: "TOLD1" }, amount2: { value: "¥19.99" }, phrase3: { value: "支付成功" }, time4: { value: "2026年1月31日 08:30" }, thing5: { value: "一杯咖啡" } },
  });
});

test("refused by the payer: no error, and not tried again", async () => {
  answers("REFUSED1", 43101);
  tell("REFUSED1");
  await logged("REFUSED1", "the payer has not allowed it");
  tell("REFUSED1");
  await logged("REFUSED1", "told before, not told again");
  assert.equal(sends("REFUSED1").length, 1);
});

test("an invalid token is renewed once", async () => {
  answers("TOKEN1", "invalidate", 0);
  tell("TOKEN1");
  await logged("TOKEN1", "told");
  assert.equal(new Set(sends("TOKEN1").map(({ token }) => token)).size, 2);
});

test("busy or over the quota: later, and given up in the end", async () => {
  answers("BUSY1", -1, 45009, 0);
  answers("BUSY2", -1);
  const before = await deadCount();
  tell("BUSY1");
  tell("BUSY2");
  await logged("BUSY1", "told");
  assert.equal(sends("BUSY1").length, 3);
  await logged("BUSY2", "given up, put into the dead queue");
  assert.equal(sends("BUSY2").length, 1 + RETRIES_MAX);
  await until("it is in the dead queue", async () => (await deadCount()) === before + 1);
});

test("what WeChat never takes, and what is no such event, does not go round", async () => {
  const before = await deadCount();
  answers("WRONG1", 47003);
  tell("WRONG1");
  tell("WRONG2", { type: "payment.delivered" });
  channel.publish("payment-notifier.events", "payment.undelivered", Buffer.from("{"));
  await until("they are in the dead queue", async () => (await deadCount()) === before + 3);
  assert.equal(sends("WRONG1").length, 1);
});

test("nobody to tell, no text for the status, too old: nothing is sent", async () => {
  tell("NOBODY1");
  await logged("NOBODY1", "nobody to tell, or nothing");
  tell("STATUS1", { data: { status: "expired" } });
  await logged("STATUS1", "nobody to tell, or nothing");
  tell("OLD1", { time: "2026-01-01T00:00:00Z" });
  await logged("OLD1", "too old, not told");
  assert.equal(sends("STATUS1").length + sends("OLD1").length, 0);
});

test("killed while a message is under way: it is not sent again", async () => {
  answers("KILLED1", "hang");
  tell("KILLED1");
  await until("it is under way", () => sends("KILLED1").length);
  await worker.end("SIGKILL");
  await startWorker();
  await logged("KILLED1", "told before, not told again");
  answers("CUT1", "cut");
  tell("CUT1");
  await logged("CUT1", "outcome not known, not told again");
  assert.equal(sends("KILLED1").length + sends("CUT1").length, 2);
});

test("SIGTERM ends it well, and nothing secret is in its log", async () => {
  assert.equal(await worker.end("SIGTERM"), 0, worker.lines.slice(-5).join("\n"));
  assert.equal((await channel.checkQueue(QUEUE)).messageCount, 0);
  const { password } = new URL(workerUrl);
  for (const secret of [password, SECRET, "token-", "o-TOLD1", "o-CUT1"]) assert.ok(!worker.lines.some((line) => line.includes(secret)), secret);
});
