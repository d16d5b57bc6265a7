// http/relay.yaml in Bento, between the real broker and a receiver. BENTO names the program, else it is looked for on the PATH.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import amqp from "amqplib";
import { openVhost, run, until } from "../../testing/program.mjs";

const RELAY = join(dirname(dirname(fileURLToPath(import.meta.url))), "http/relay.yaml");
const BENTO = process.env.BENTO || "bento";
const skip = /^Version:/.test(spawnSync(BENTO, ["--version"], { encoding: "utf8" }).stdout ?? "") ? false : "bento is not installed";
const QUEUE = "shop.webhooks";
const SECRET = randomBytes(24).toString("base64");

let vhost;
let relay;
let receiver;
let connection;
let channel;
const received = [];
/** What the receiver answers next; afterwards 204. */
const statuses = [];
/** What it never takes. */
const refused = new Set();
let isDown = false;
const RETRY_MS = 300;

const startRelay = () => {
  relay = run(BENTO, ["-c", RELAY], { env: { AMQP_URL: vhost.url, QUEUE, WEBHOOK_URL: `http://127.0.0.1:${receiver.address().port}/events`, WEBHOOK_SECRET: SECRET } });
};
const started = new Date().toISOString();
const body = (number, time = started) => JSON.stringify({ specversion: "1.0", id: `payment.undelivered:shop:W${number}:1`, type: "payment.undelivered", time, data: { merchant_id: "shop", order_id: `W${number}`, title: "付款 💰", value: 1.0 } });
const publish = (number, time) => channel.publish("payment-notifier.events", "payment.undelivered", Buffer.from(body(number, time)), { persistent: true, contentType: "application/cloudevents+json" });
const taken = (number) => received.filter((one) => one.status < 300 && one.text === body(number));
const empty = async () => {
  const queues = [QUEUE, `${QUEUE}.retry`].map((name) => vhost.call("GET", `queues/${vhost.name}/${name}`));
  return (await Promise.all(queues)).every(({ messages }) => messages === 0);
};

before(async () => {
  if (skip) return;
  receiver = createServer(async (request, response) => {
    const chunks = [];
    try {
      for await (const chunk of request) chunks.push(chunk);
    } catch {
      // The relay was ended in the midst of it.
      return;
    }
    const text = Buffer.concat(chunks).toString("utf8");
    const status = isDown ? 500 : refused.has(text) ? 400 : (statuses.shift() ?? 204);
    received.push({ text, headers: request.headers, status });
    response.writeHead(status).end();
  });
  receiver.listen(0, "127.0.0.1");
  await once(receiver, "listening");
  vhost = await openVhost();
  connection = await amqp.connect(vhost.url);
  channel = await connection.createChannel();
  await channel.assertExchange("payment-notifier.events", "topic", { durable: true });
  const quorum = (name, more) => channel.assertQueue(name, { durable: true, arguments: { "x-queue-type": "quorum", ...more } });
  await quorum(QUEUE);
  await quorum(`${QUEUE}.dead`);
  await quorum(`${QUEUE}.retry`, { "x-message-ttl": RETRY_MS, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": QUEUE });
  await channel.bindQueue(QUEUE, "payment-notifier.events", "payment.#");
  startRelay();
});
after(async () => {
  if (skip) return;
  await relay?.end();
  await connection?.close();
  await vhost?.remove();
  receiver?.close();
  receiver?.closeAllConnections();
});

test("an event is posted as it is, signed", { skip }, async () => {
  publish(1);
  await until("it is posted", () => taken(1).length, 30_000).catch((error) => assert.fail(`${error.message}\n${relay.lines.slice(-5).join("\n")}`));
  const { text, headers } = taken(1)[0];
  assert.equal(headers["content-type"], "application/cloudevents+json");
  assert.equal(headers["webhook-id"], "payment.undelivered:shop:W1:1");
  assert.ok(Math.abs(Date.now() / 1000 - Number(headers["webhook-timestamp"])) < 60);
  const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${text}`;
  assert.equal(headers["webhook-signature"], `v1,${createHmac("sha256", Buffer.from(SECRET, "base64")).update(signed).digest("base64")}`);
});

test("refused by 500, 400 or a moved address: it comes again, and none is lost", { skip }, async () => {
  statuses.push(500, 503, 400, 302, 429);
  for (let number = 10; number < 20; number++) publish(number);
  await until("all are taken", () => Array.from({ length: 10 }, (_, at) => taken(10 + at).length).every(Boolean), 30_000);
  assert.equal(received.filter(({ status }) => status >= 300).length, 5);
});

test("one that is never taken does not hold up the others, and is put aside after a day", { skip }, async () => {
  const times = (text) => received.filter((one) => one.text === text).length;
  const old = "2026-01-01T00:00:00.123Z";
  for (const text of [body(30), body(31, old)]) refused.add(text);
  publish(30);
  publish(31, old);
  await until("it comes again and again", () => times(body(30)) >= 3, 30_000);
  publish(32);
  await until("another is taken", () => taken(32).length, 30_000);
  const dead = await until("the old one is put aside", () => channel.get(`${QUEUE}.dead`, { noAck: true }));
  assert.equal(dead.content.toString(), body(31, old));
  assert.equal(times(body(31, old)), 1);
  refused.add("no event");
  channel.publish("payment-notifier.events", "payment.undelivered", Buffer.from("no event"));
  await until("what is no event is put aside", async () => (await channel.get(`${QUEUE}.dead`, { noAck: true }))?.content.toString() === "no event");
  refused.clear();
  await until("it is taken at last", () => taken(30).length, 30_000);
});

test("killed while the receiver is down: all come after the start", { skip }, async () => {
  isDown = true;
  for (let number = 20; number < 25; number++) publish(number);
  await until("it was refused", () => received.some(({ text }) => text === body(24)), 30_000);
  await relay.end("SIGKILL");
  isDown = false;
  startRelay();
  await until("all are taken", () => Array.from({ length: 5 }, (_, at) => taken(20 + at).length).every(Boolean), 30_000);
  await until("the queues are empty", empty);
});
