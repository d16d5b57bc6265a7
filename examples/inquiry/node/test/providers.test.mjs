// Each provider's client against the fake provider: what it makes of answers, and of those that are not to be trusted.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { startFakeProvider } from "../../fake-provider/fake-provider.mjs";
import { readConfig } from "../src/config.mjs";
import { alipay } from "../src/providers/alipay.mjs";
import { stripe } from "../src/providers/stripe.mjs";
import { wechatPay } from "../src/providers/wechat-pay.mjs";

const TIMEOUT_MS = 10_000;
const HANG_TIMEOUT_MS = 300;
const MAKERS = { wechat_pay: wechatPay, alipay, stripe };
let folder;
let fake;
let accounts;
let clients;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "inquiry-"));
  fake = await startFakeProvider({ keysFolder: folder });
  const { wechat_pay: { api_v3_key_file, ...wechat }, ...others } = fake.description();
  writeFileSync(
    join(folder, "settings.json"),
    JSON.stringify({ merchants: { shop: [{ provider: "wechat_pay", ...wechat }, { provider: "alipay", ...others.alipay }, { provider: "stripe", ...others.stripe }] } }),
  );
  const [one, two, three] = readConfig(join(folder, "settings.json"), { AMQP_URL: "amqp://127.0.0.1/" }).merchants.get("shop");
  accounts = { wechat_pay: one, alipay: two, stripe: three };
  clients = Object.fromEntries(Object.entries(MAKERS).map(([provider, make]) => [provider, make(accounts[provider], TIMEOUT_MS)]));
});
after(async () => {
  await fake.close();
  rmSync(folder, { recursive: true, force: true });
});

const first = async (provider, query) => (await clients[provider].query(query))[0];

test("paid: amount, transaction and the time at the provider", async () => {
  for (const provider of Object.keys(clients)) {
    const order = fake.orders.put({ provider, order_id: "A_1-*|@", state: "paid", amount: 1990, currency: "CNY" });
    const answer = await first(provider, { orderId: "A_1-*|@" });
    assert.equal(answer.state, "paid", provider);
    assert.equal(answer.status, "succeeded");
    assert.equal(answer.transactionId, order.transaction_id);
    assert.deepEqual(answer.amount, { value: 1990, currency: "CNY" });
    assert.equal(Date.parse(answer.occurredAt), Math.floor(order.paid_at / 1000) * 1000);
  }
  assert.equal((await first("stripe", { orderId: "other", transactionId: fake.orders.get("stripe", "A_1-*|@").transaction_id })).state, "paid");
});

test("unpaid is open, unheard of is absent, neither is failed", async () => {
  for (const provider of Object.keys(clients)) {
    for (const state of ["unpaid", "paying"]) {
      fake.orders.put({ provider, order_id: state, state });
      assert.equal((await first(provider, { orderId: state })).state, "open", `${provider} ${state}`);
    }
    assert.equal((await first(provider, { orderId: "nobody" })).state, "absent", provider);
  }
});

test("ended unpaid, and paid and given back", async () => {
  const expected = { wechat_pay: { closed: "expired", revoked: "canceled", failed: "failed", refunded: "succeeded" }, alipay: { closed: "expired", refunded: "succeeded" }, stripe: { closed: "canceled", refunded: "succeeded" } };
  for (const [provider, states] of Object.entries(expected)) {
    for (const [state, status] of Object.entries(states)) {
      fake.orders.put({ provider, order_id: `E${state}`, state });
      assert.equal((await first(provider, { orderId: `E${state}` })).status, status, `${provider} ${state}`);
    }
  }
});

test("an answer whose signature is wrong, missing or old is refused", async () => {
  for (const [provider, faults] of [["wechat_pay", ["wrong_signature", "no_signature", "stale_signature"]], ["alipay", ["wrong_signature", "no_signature"]]]) {
    fake.orders.put({ provider, order_id: "S1", state: "paid" });
    for (const fault of faults) {
      fake.orders.setFault({ provider, fault, count: 1 });
      const code = fault === "stale_signature" ? "clock_off" : "bad_signature";
      await assert.rejects(first(provider, { orderId: "S1" }), { kind: "untrusted", code }, `${provider} ${fault}`);
    }
  }
  const [key] = Object.values(accounts.wechat_pay.platformKeys);
  const renewed = wechatPay({ ...accounts.wechat_pay, platformKeys: { PUB_KEY_ID_OTHER: key } }, TIMEOUT_MS);
  await assert.rejects(renewed.query({ orderId: "S1" }), { kind: "untrusted", code: "unknown_platform_key" });
});

test("busy, too often and no answer", async () => {
  for (const provider of Object.keys(clients)) {
    fake.orders.put({ provider, order_id: "B1", state: "paid" });
    for (const [fault, kind] of [["system_error", "busy"], ["frequency_limited", "limited"]]) {
      fake.orders.setFault({ provider, fault, count: 1 });
      await assert.rejects(first(provider, { orderId: "B1" }), { kind }, `${provider} ${fault}`);
    }
    fake.orders.setFault({ provider, fault: "hang", count: 1 });
    const impatient = MAKERS[provider](accounts[provider], HANG_TIMEOUT_MS);
    await assert.rejects(impatient.query({ orderId: "B1" }), { kind: "busy", code: "timeout" }, provider);
  }
});

test("keys that are not the merchant's: refused, and no error holds them", async () => {
  const swapped = {
    wechat_pay: wechatPay({ ...accounts.wechat_pay, privateKey: accounts.alipay.privateKey }, TIMEOUT_MS),
    alipay: alipay({ ...accounts.alipay, privateKey: accounts.wechat_pay.privateKey }, TIMEOUT_MS),
    stripe: stripe({ ...accounts.stripe, secretKey: "sk_test_other" }, TIMEOUT_MS),
  };
  for (const [provider, client] of Object.entries(swapped)) {
    const error = await client.query({ orderId: "K1" }).then(() => assert.fail("it was answered"), (refused) => refused);
    assert.equal(error.kind, "refused", `${provider} ${error.code}`);
    assert.doesNotMatch(JSON.stringify({ ...error, stack: error.stack }), /PRIVATE KEY|sk_test|signature="/);
  }
});

test("WeChat Pay for a partner's sub-merchant asks with both numbers", async () => {
  fake.orders.put({ provider: "wechat_pay", order_id: "P1", state: "paid", sub_mchid: "1900000109" });
  const partner = wechatPay({ ...accounts.wechat_pay, sub_mchid: "1900000109" }, TIMEOUT_MS);
  assert.equal((await partner.query({ orderId: "P1" }))[0].state, "paid");
});

test("nobody listens: unreachable", async () => {
  const gone = { wechat_pay: [wechatPay, "http://127.0.0.1:1/"], alipay: [alipay, "http://127.0.0.1:1/gateway.do"], stripe: [stripe, "http://127.0.0.1:1"] };
  for (const [provider, [client, base_url]] of Object.entries(gone)) {
    await assert.rejects(client({ ...accounts[provider], base_url }, TIMEOUT_MS).query({ orderId: "U1" }), { kind: "busy", code: "unreachable" }, provider);
  }
});
