// The settings, what is published of several answers, and the limits.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { readConfig } from "../src/config.mjs";
import { event, parse, results } from "../src/inquiry.mjs";
import { RateLimit, SingleFlight } from "../src/limits.mjs";

const folder = mkdtempSync(join(tmpdir(), "inquiry-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const AMQP_URL = "amqp://worker:hidden@127.0.0.1/payments";
const write = (name, text) => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
const settings = (given) => write("settings.json", typeof given === "string" ? given : JSON.stringify(given));

test("a wrong setting is one line that names it", () => {
  write("key", "sk_test_1");
  write("not-a.pem", "hello");
  write("ec.pem", generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem" }));
  const stripe = { provider: "stripe", secret_key_file: "key" };
  const shop = (...accounts) => ({ merchants: { shop: accounts } });
  const wrong = [
    ["{", /settings\.json is not JSON/],
    [{}, /^merchants is missing or empty$/],
    [{ ...shop(stripe), prefech: 3 }, /^prefech is not a setting$/],
    [{ ...shop(stripe), prefetch: "3" }, /^prefetch must be a number$/],
    [{ ...shop(stripe), prefetch: 0 }, /^prefetch must be 1 to 1000$/],
    [shop(), /^merchants\.shop must be a list of accounts$/],
    [shop({ provider: "paypal" }), /^merchants\.shop\[0\]\.provider must be one of wechat_pay, alipay, stripe$/],
    [shop({ provider: "constructor" }), /provider must be one of/],
    [shop({ provider: "stripe" }), /^merchants\.shop\[0\]\.secret_key_file is missing$/],
    [shop({ ...stripe, mchid: "1" }), /^merchants\.shop\[0\]\.mchid is not a setting of stripe$/],
    [shop({ ...stripe, secret_key_file: "nowhere" }), /^merchants\.shop\[0\]\.secret_key_file: cannot read .*nowhere \(ENOENT\)$/],
    [shop({ provider: "alipay", app_id: "1", private_key_file: "not-a.pem", public_key_file: "x" }), /private_key_file: .*not-a\.pem is not an RSA private key$/],
    [shop({ provider: "alipay", app_id: "1", private_key_file: "ec.pem", public_key_file: "x" }), /is not an RSA private key$/],
  ];
  for (const [given, message] of wrong) {
    assert.throws(() => readConfig(settings(given), { AMQP_URL }), (error) => error.constructor.name === "SettingError" && message.test(error.message) && !error.message.includes("\n"), JSON.stringify(given));
  }
  settings(shop(stripe));
  for (const [environment, message] of [[{}, "AMQP_URL is not set"], [{ AMQP_URL: "http://u:hidden@h/" }, "AMQP_URL is not an amqp:// or amqps:// URL"]]) {
    assert.throws(() => readConfig(join(folder, "settings.json"), environment), { message });
  }
  const worker = join(dirname(dirname(fileURLToPath(import.meta.url))), "worker.mjs");
  const { status, stderr } = spawnSync(process.execPath, [worker, join(folder, "nowhere.json")], { env: { AMQP_URL }, encoding: "utf8" });
  assert.equal(status, 1);
  assert.match(stderr, /^worker: settings: cannot read .*nowhere\.json \(ENOENT\)\n$/);
});

test("Alipay's bare base64 keys are read too", () => {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const bare = (key, type) => key.export({ type, format: "der" }).toString("base64");
  for (const type of ["pkcs1", "pkcs8"]) {
    write("private", bare(privateKey, type));
    write("public", bare(publicKey, "spki"));
    const { merchants } = readConfig(settings({ merchants: { shop: [{ provider: "alipay", app_id: "1", private_key_file: "private", public_key_file: "public" }] } }), { AMQP_URL });
    assert.ok(merchants.get("shop")[0].privateKey.equals(privateKey), type);
  }
});

test("several attempts and accounts: all that were paid, else the end of all, else nothing", () => {
  const paid = { state: "paid", status: "succeeded", attempt: "a1" };
  const paidToo = { state: "paid", status: "succeeded", attempt: "a2" };
  const expired = { state: "unpaid", status: "expired", attempt: "a3" };
  const open = { state: "open" };
  const absent = { state: "absent" };
  const notTried = [];
  const of = (...lists) => results(lists.map((list) => ({ provider: "wechat_pay", list }))).map(({ attempt }) => attempt);
  assert.deepEqual(of([expired, paid, open, paidToo]), ["a1", "a2"]);
  assert.deepEqual(of([expired, open]), []);
  assert.deepEqual(of([expired, absent]), []);
  // The second provider hears of it when the payer enters the password there.
  assert.deepEqual(of([expired], [absent]), []);
  assert.deepEqual(of([absent], [expired]), []);
  assert.deepEqual(of([expired], [absent], [paid]), ["a1"]);
  assert.deepEqual(of([expired], [expired]), ["a3"]);
  assert.deepEqual(of([expired], notTried), ["a3"]);
  assert.deepEqual(of(notTried, notTried), []);
  assert.deepEqual(of([absent], [absent]), []);
  assert.deepEqual(of([open]), []);
});

test("the id of an event is that of the result, not of the query", () => {
  const inquiry = { merchantId: "shop", orderId: "A1" };
  const closed = { provider: "wechat_pay", code: "CLOSED", status: "expired", attempt: "A1" };
  const [one, two] = [new Date(0), new Date(1000)].map((now) => event(inquiry, closed, now));
  assert.equal(one.event_id, two.event_id);
  const paid = event(inquiry, { ...closed, status: "succeeded", transactionId: "42", occurredAt: "2026-11-28T10:00:00+08:00" });
  assert.equal(paid.event_id, "inquiry:wechat_pay:shop:42:succeeded:1795831200000");
});

test("only inquiries are answered", () => {
  const data = { merchant_id: "shop", order_id: "A|1@*" };
  assert.equal(parse(Buffer.from(JSON.stringify({ type: "payment.inquiry", data }))).orderId, "A|1@*");
  for (const [body, code] of [["[]", "not_an_inquiry"], ["null", "not_an_inquiry"], ['{"type":"payment.delivered"}', "not_an_inquiry"], ['{"type":"payment.inquiry"}', "malformed_merchant_id"], ["x".repeat(65_537), "body_too_large"]]) {
    assert.throws(() => parse(Buffer.from(body)), { code });
  }
});

test("a rate limit spreads, and pauses", () => {
  let now = 1000;
  const limit = new RateLimit(10, () => now);
  const waits = Array.from({ length: 8 }, () => Math.round(limit.reserve()));
  assert.deepEqual(waits, [0, 0, 0, 0, 0, 0, 100, 200]);
  limit.pause(5000);
  assert.equal(Math.round(limit.reserve()), 5000);
  now += 60_000;
  assert.equal(limit.reserve(), 0);
});

test("one flight a key, and its failure is everybody's once", async () => {
  const flights = new SingleFlight();
  let runs = 0;
  const work = async () => {
    runs++;
    throw new Error("busy");
  };
  const outcomes = await Promise.allSettled([flights.run("a", work), flights.run("a", work), flights.run("b", work)]);
  assert.equal(runs, 2);
  assert.ok(outcomes.every(({ status }) => status === "rejected"));
  await assert.rejects(flights.run("a", work));
  assert.equal(runs, 3);
});
