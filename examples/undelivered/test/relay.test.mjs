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

const startRelay = () => {
  relay = run(BENTO, ["-c", RELAY], { env: { AMQP_URL: vhost.url, QUEUE, WEBHOOK_URL: `http://127.0.0.1:${receiver.address().port}/events`, WEBHOOK_SECRET: SECRET, RETRY_FIRST: "200ms" } });
};
const body = (number) => JSON.stringify({ specversion: "1.0", id: `payment.undelivered:shop:W${number}:1`, type: "payment.undelivered", data: { merchant_id: "shop", order_id: `W${number}`, title: "付款 💰", value: 1.0 } });
const publish = (number) => channel.publish("payment-notifier.events", "payment.undelivered", Buffer.from(body(number)), { persistent: true, contentType: "application/cloudevents+json" });
const taken = (number) => received.filter((one) => one.status < 300 && one.text === body(number));
const empty = async () => {
  const { messages = 1 } = await vhost.call("GET", `queues/${vhost.name}/${QUEUE}`);
  return messages === 0;
};

before(async () => {
  if (skip) return;
  receiver = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const status = statuses.shift() ?? 204;
    received.push({ text: Buffer.concat(chunks).toString("utf8"), headers: request.headers, status });
    response.writeHead(status).end();
  });
  receiver.listen(0, "127.0.0.1");
  await once(receiver, "listening");
  vhost = await openVhost();
  connection = await amqp.connect(vhost.url);
  channel = await connection.createChannel();
  await channel.assertExchange("payment-notifier.events", "topic", { durable: true });
  await channel.assertQueue(QUEUE, { durable: true, arguments: { "x-queue-type": "quorum" } });
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

test("killed while the receiver is down: all come after the start", { skip }, async () => {
  statuses.push(...Array(1000).fill(500));
  for (let number = 20; number < 25; number++) publish(number);
  await until("they were refused", () => received.filter(({ text }) => text === body(24)).length);
  await relay.end("SIGKILL");
  statuses.length = 0;
  startRelay();
  await until("all are taken", () => Array.from({ length: 5 }, (_, at) => taken(20 + at).length).every(Boolean), 30_000);
  await until("the queue is empty", empty);
});
