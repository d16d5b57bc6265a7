// The worker as a process, between the real program, the real broker and the fake provider. No callback is ever sent.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import amqp from "amqplib";
import { WebSocket } from "ws";
import { startFakeProvider } from "../../fake-provider/fake-provider.mjs";
import { Broker } from "../../../worker/broker.mjs";
import { MERCHANT, openVhost, run, startProgram, until } from "../../../testing/program.mjs";

const NODE = dirname(dirname(fileURLToPath(import.meta.url)));
const QUEUE = "shop.inquiry";
const [ALIPAY, STRIPE] = ["shop-alipay", "shop-stripe"];
// What README.md says that the worker needs.
const PERMISSIONS = { configure: "^shop\\.inquiry(\\..*)?$", write: "^(payments|amq\\.default|shop\\.inquiry(\\..*)?)$", read: "^(payment-notifier\\.events|shop\\.inquiry(\\..*)?)$" };
const RETRIES_MAX = 2;
const QUERIES_PER_S = 10;

let folder;
let vhost;
let program;
let fake;
let worker;
let workerUrl;
let channel;
let connection;
let lostCallback;

const startWorker = () => run(process.execPath, ["worker.mjs", join(folder, "settings.json")], { cwd: NODE, env: { AMQP_URL: workerUrl } });
const consuming = (one, times = 1) =>
  until("the worker consumes", () => {
    assert.equal(one.child.exitCode, null, one.lines.join("\n"));
    return one.lines.filter((line) => line.includes('"consuming"')).length >= times;
  });
const asked = (orderId) => fake.orders.queries.filter(({ order_id }) => order_id === orderId);
const logged = (orderId, message, times = 1) =>
  until(`${message}: ${orderId}`, () => worker.lines.filter((line) => line.includes(`"${message}"`) && line.includes(`"${orderId}"`)).length >= times);

/** An inquiry as the program publishes it. */
function inquire(merchantId, orderId, data = {}) {
  const event = { specversion: "1.0", id: `payment.inquiry:${merchantId}:${orderId}:0:1`, source: "payment-notifier/test", type: "payment.inquiry", time: new Date().toISOString(), datacontenttype: "application/json" };
  const body = { ...event, data: { merchant_id: merchantId, order_id: orderId, waited_s: 5, step: 1, status: "unknown", version: 0, ...data } };
  channel.publish("payment-notifier.events", "payment.inquiry", Buffer.from(JSON.stringify(body)), { contentType: "application/cloudevents+json" });
}

/** A page: gives how long after the payment it had the final result. */
function page(orderId) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`${program.url.replace("http", "ws")}/v1/ws`);
    let paid_at;
    socket.on("error", reject);
    socket.on("close", (code) => reject(new Error(`closed with ${code}`)));
    socket.on("open", () => {
      // Before the page waits, so that no pause of this process makes the time shorter.
      paid_at = Date.now();
      socket.send(JSON.stringify({ type: "subscribe", ticket: program.ticket(orderId) }));
    });
    socket.on("message", (text) => {
      const frame = JSON.parse(text);
      if (frame.type === "subscribed") {
        fake.orders.put({ provider: "wechat_pay", order_id: orderId, state: "paid", amount: 4200 });
      }
      if (!frame.payment?.final) return;
      resolve({ payment: frame.payment, after_ms: Date.now() - paid_at });
      socket.close();
    });
  });
}

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "inquiry-"));
  fake = await startFakeProvider({ keysFolder: folder });
  const { wechat_pay: { api_v3_key_file, ...wechat_pay }, alipay, stripe } = fake.description();
  const merchants = { [MERCHANT]: [{ provider: "wechat_pay", ...wechat_pay }], [ALIPAY]: [{ provider: "alipay", ...alipay }], [STRIPE]: [{ provider: "stripe", ...stripe }] };
  writeFileSync(join(folder, "attempts.mjs"), "export const attempts = async (merchant, order) => (order.startsWith('TRIES') ? [`${order}-1`, `${order}-2`] : undefined);");
  writeFileSync(join(folder, "settings.json"), JSON.stringify({ queue: QUEUE, attempts_module: "attempts.mjs", queries_per_s: QUERIES_PER_S, retry_after_s: 1, retries_max: RETRIES_MAX, merchants }));
  vhost = await openVhost();
  program = await startProgram(
    vhost,
    {},
    `[[callbacks.wechat_pay]]
merchant_id = "${MERCHANT}"
api_v3_key = "${readFileSync(api_v3_key_file, "utf8")}"
mch_id = "${wechat_pay.mchid}"
keys = [{ serial = "${Object.keys(wechat_pay.platform_keys)[0]}", public_key_file = "${Object.values(wechat_pay.platform_keys)[0]}" }]`,
  );
  workerUrl = await vhost.userUrl(PERMISSIONS);
  worker = startWorker();
  await consuming(worker);
  connection = await amqp.connect(vhost.url);
  channel = await connection.createChannel();
  // It takes 5 s, and the other tests run meanwhile.
  lostCallback = page("LOST1");
  lostCallback.catch(() => {});
});
after(async () => {
  await worker?.end();
  await connection?.close();
  await program?.close();
  await vhost?.remove();
  await fake?.close();
  rmSync(folder, { recursive: true, force: true });
});

test("unpaid, and never heard of: nothing is published", async () => {
  fake.orders.put({ provider: "wechat_pay", order_id: "OPEN1", state: "unpaid" });
  for (const orderId of ["OPEN1", "NEVER1"]) {
    inquire(MERCHANT, orderId);
    await logged(orderId, "not decided yet");
    assert.equal((await program.payment(orderId)).status, "unknown");
  }
  assert.equal(asked("NEVER1")[0].answer, "ORDER_NOT_EXIST");
});

test("paid by Alipay and by Stripe; the same inquiry twice changes nothing", async () => {
  for (const [merchant, provider] of [[ALIPAY, "alipay"], [STRIPE, "stripe"]]) {
    const results = await channel.assertQueue("", { exclusive: true });
    await channel.bindQueue(results.queue, "payments", `payment.result.${provider}`);
    const order = fake.orders.put({ provider, order_id: `PAID-${provider}`, state: "paid", amount: 1990 });
    const events = [];
    for (let times = 0; times < 2; times++) {
      inquire(merchant, order.order_id);
      const message = await until(`a result of ${provider}`, () => channel.get(results.queue, { noAck: true }));
      events.push(JSON.parse(message.content));
      // Until then another inquiry would share this one's answer.
      await logged(order.order_id, "result published", times + 1);
      assert.equal(message.properties.deliveryMode, 2);
    }
    assert.deepEqual(events[0], events[1]);
    const { event_id, occurred_at, ...event } = events[0];
    assert.ok(event_id && occurred_at);
    assert.deepEqual(event, {
      merchant_id: merchant,
      order_id: order.order_id,
      status: "succeeded",
      amount: { value: 1990, currency: "CNY" },
      provider,
      provider_transaction_id: order.transaction_id,
      provider_status: provider === "alipay" ? "TRADE_SUCCESS" : "succeeded",
    });
  }
});

test("the callback comes too: both say the same", async () => {
  const conflicts = await channel.assertQueue("", { exclusive: true });
  await channel.bindQueue(conflicts.queue, "payment-notifier.events", "payment.conflict");
  const pay = { provider: "wechat_pay", order_id: "BOTH1", amount: 300, notify: `${program.url}/v1/callbacks/wechat_pay/${MERCHANT}` };
  const paid = await (await fetch(`${fake.url}/fake/pay`, { method: "POST", body: JSON.stringify(pay) })).json();
  assert.equal(paid.notified, 204);
  const first = await until("the callback's result", async () => [await program.payment("BOTH1")].find(({ final }) => final));
  const results = await channel.assertQueue("", { exclusive: true });
  await channel.bindQueue(results.queue, "payments", "payment.result.wechat_pay");
  inquire(MERCHANT, "BOTH1");
  const asked = JSON.parse((await until("the query's result", () => channel.get(results.queue, { noAck: true }))).content);
  assert.equal(Date.parse(asked.occurred_at), Date.parse(first.occurred_at));
  // What is published after it is stored after it.
  fake.orders.put({ provider: "wechat_pay", order_id: "AFTER1", state: "paid" });
  inquire(MERCHANT, "AFTER1");
  await until("the next is stored", async () => (await program.payment("AFTER1")).final);
  const { version, ...second } = await program.payment("BOTH1");
  assert.deepEqual({ ...second, version: first.version }, first);
  assert.equal((await channel.checkQueue(conflicts.queue)).messageCount, 0);
});

test("an order of two attempts: the paid one counts, and it ends unpaid only when both have", async () => {
  const put = (orderId, ...states) => states.forEach((state, at) => fake.orders.put({ provider: "wechat_pay", order_id: `${orderId}-${at + 1}`, state }));
  put("TRIES1", "closed", "paid");
  put("TRIES2", "closed", "unpaid");
  put("TRIES3", "closed", "closed");
  for (const orderId of ["TRIES1", "TRIES2", "TRIES3"]) inquire(MERCHANT, orderId);
  await logged("TRIES2", "not decided yet");
  await until("both have ended", async () => (await program.payment("TRIES1")).final && (await program.payment("TRIES3")).final);
  const statuses = await Promise.all(["TRIES1", "TRIES2", "TRIES3"].map(async (orderId) => (await program.payment(orderId)).status));
  assert.deepEqual(statuses, ["succeeded", "unknown", "expired"]);
});

test("twenty inquiries of one order: one query at a time", async () => {
  fake.orders.put({ provider: "alipay", order_id: "MANY1", state: "paid" });
  fake.orders.setFault({ provider: "alipay", fault: "slow", count: 20 });
  for (let times = 0; times < 20; times++) inquire(ALIPAY, "MANY1");
  await logged("MANY1", "result published");
  await until("all are settled", async () => (await channel.checkQueue(QUEUE)).messageCount === 0);
  fake.orders.setFault({ provider: "alipay", fault: null });
  assert.equal(fake.orders.concurrent_max, 1);
  assert.ok(asked("MANY1").length < 20, `${asked("MANY1").length} queries`);
});

test("a merchant's queries are spread", async () => {
  const orders = Array.from({ length: 15 }, (_, at) => `RATE${at}`);
  const since = Date.now();
  for (const orderId of orders) inquire(STRIPE, orderId);
  await until("all are queried", () => orders.every((orderId) => asked(orderId).length));
  // A burst of half a second's queries may go at once.
  const least_ms = (orders.length / QUERIES_PER_S - 0.5 - 0.1) * 1000;
  assert.ok(Date.now() - since >= least_ms, `${Date.now() - since} ms`);
});

test("an answer that the provider did not sign: not believed, asked again, and then given up", async () => {
  fake.orders.put({ provider: "alipay", order_id: "FORGED1", state: "paid" });
  fake.orders.setFault({ provider: "alipay", fault: "wrong_signature" });
  inquire(ALIPAY, "FORGED1");
  await logged("FORGED1", "inquiry given up, put into the dead queue");
  assert.equal(asked("FORGED1").length, 1 + RETRIES_MAX);
  fake.orders.setFault({ provider: "alipay", fault: "wrong_signature", count: 1 });
  fake.orders.put({ provider: "alipay", order_id: "FORGED2", state: "paid" });
  inquire(ALIPAY, "FORGED2");
  await logged("FORGED2", "inquiry put off");
  await logged("FORGED2", "result published");
  assert.equal(asked("FORGED2").length, 2);
});

test("what cannot be answered does not go round", async () => {
  const before = (await channel.checkQueue(`${QUEUE}.dead`)).messageCount;
  channel.publish("payment-notifier.events", "payment.inquiry", Buffer.from("{"));
  inquire("shop-of-others", "X1");
  inquire(MERCHANT, "bad order");
  inquire(MERCHANT, "X2", { provider: "douyin" });
  await until("they are in the dead queue", async () => (await channel.checkQueue(`${QUEUE}.dead`)).messageCount === before + 4);
  for (const orderId of ["X1", "X2", "bad order"]) assert.equal(asked(orderId).length, 0);
});

test("the callback is lost, and the page has its result all the same", async () => {
  const { payment, after_ms } = await lostCallback;
  console.log(`# the page had its result ${after_ms} ms after the payment`);
  assert.equal(payment.status, "succeeded");
  assert.deepEqual(payment.amount, { value: 4200, currency: "CNY" });
  assert.ok(after_ms >= 4500 && after_ms < 60_000, `${after_ms} ms`);
});

test("the broker cuts the worker's connections: it comes back", async () => {
  await until("they are cut", () => vhost.closeConnections("inquiry-worker"));
  await consuming(worker, 2);
  fake.orders.put({ provider: "wechat_pay", order_id: "BACK1", state: "paid" });
  inquire(MERCHANT, "BACK1");
  await logged("BACK1", "result published");
  await until("the page sees it", async () => (await program.payment("BACK1")).status === "succeeded");
});

test("what no queue takes, and what the broker does not know, is not taken for published", async () => {
  const config = { amqpUrl: vhost.url, name: "broker-test", queue: "broker-test", binding: "payment.nothing", events_exchange: "payment-notifier.events", declare: true, prefetch: 1, retry_after_s: 1, retries_max: 0 };
  const broker = new Broker(amqp, config, async () => "ack");
  const publish = (exchange, key) => broker.publish(exchange, key, Buffer.from("x"), {});
  await assert.rejects(publish("", "broker-test"), /not connected/);
  broker.start();
  const taken = () => publish("", "broker-test").then(() => true, () => false);
  await until("it is connected", taken);
  await assert.rejects(publish("amq.topic", "nobody"), /no queue is bound/);
  await Promise.all([publish("", "broker-test"), assert.rejects(publish("amq.topic", "nobody")), publish("", "broker-test")]);
  await assert.rejects(publish("no-such-exchange", "x"), /NOT_FOUND|lost before the confirm|channel/i);
  await until("it is connected again", taken);
  await broker.stop({ idle: async () => {} });
  await assert.rejects(publish("", "broker-test"), /not connected/);
});

test("SIGTERM while a query is open: it is answered, the worker ends well, and one that stood by goes on", async () => {
  const standby = startWorker();
  await consuming(standby);
  fake.orders.put({ provider: "wechat_pay", order_id: "LAST1", state: "paid" });
  fake.orders.setFault({ provider: "wechat_pay", fault: "slow", count: 1 });
  inquire(MERCHANT, "LAST1");
  await until("it is being queried", () => asked("LAST1").length);
  const code = await worker.end("SIGTERM");
  assert.equal(code, 0, worker.lines.slice(-5).join("\n"));
  await until("the page sees it", async () => (await program.payment("LAST1")).status === "succeeded");
  assert.equal((await channel.checkQueue(QUEUE)).messageCount, 0);
  fake.orders.put({ provider: "wechat_pay", order_id: "NEXT1", state: "paid" });
  inquire(MERCHANT, "NEXT1");
  await standby.line("the other answers", (line) => line.includes('"result published"') && line.includes('"NEXT1"'));
  assert.ok(!standby.lines.some((line) => line.includes('"LAST1"')));
  assert.equal(await standby.end(), 0);
  const { password } = new URL(workerUrl);
  for (const secret of [password, "PRIVATE KEY", "sk_test_", "oFakePayer", "fak***"]) assert.ok(!worker.lines.some((line) => line.includes(secret)), secret);
});
