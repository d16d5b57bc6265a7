// The message, the token, the records and the settings, each alone.
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readlinkSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { open, readdir, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { readConfig } from "../src/config.mjs";
import { amountText, subscribeMessage, timeText } from "../src/message.mjs";
import { Records } from "../src/records.mjs";
import { Later, Unknown, WeChat } from "../src/wechat.mjs";
import { APPID, SECRET, startFakeWeChat } from "./fake-wechat.mjs";

const folder = mkdtempSync(join(tmpdir(), "undelivered-"));
after(() => rmSync(folder, { recursive: true, force: true }));

test("amounts and times as WeChat's fields want them", () => {
  assert.equal(amountText({ value: 1999, currency: "CNY" }), "¥19.99");
  assert.equal(amountText({ value: 1999, currency: "JPY" }), "1999");
  assert.equal(amountText(undefined), "");
  assert.equal(timeText("2026-01-31T00:30:00Z"), "2026年1月31日 08:30");
});

test("fields are filled and cut, and a status without a text is not told", () => {
  const settings = { template_id: "T1", page: "pages/order?id={order_id}", data: { thing1: "{product}", character_string2: "{order_id}", phrase3: "{status}", thing4: "{nothing}" }, statuses: { succeeded: "支付成功了吗" } };
  const event = { order_id: "A|1", status: "succeeded", occurred_at: "2026-01-31T00:30:00Z" };
  const message = subscribeMessage(settings, event, { openid: "o1", product: "咖啡".repeat(20) });
  assert.deepEqual(message, {
    touser: "o1",
    template_id: "T1",
    page: "pages/order?id=A%7C1",
    miniprogram_state: "formal",
    lang: "zh_CN",
    data: { thing1: { value: "咖啡".repeat(10) }, character_string2: { value: "A|1" }, phrase3: { value: "支付成功了" }, thing4: { value: "{nothing}" } },
  });
  assert.equal(subscribeMessage(settings, { ...event, status: "expired" }, { openid: "o1" }), null);
});

test("the token is fetched once, kept until shortly before it ends, and renewed once when it is refused", async () => {
  const fake = await startFakeWeChat();
  try {
    let now = 0;
    const api = new WeChat({ appid: APPID, secret: SECRET, base_url: fake.url }, 5000, () => now);
    const message = (touser) => ({ touser, data: {} });
    await Promise.all(Array.from({ length: 5 }, () => api.send(message("o1"))));
    now = 6_899_000;
    await api.send(message("o1"));
    assert.deepEqual(fake.fetches, ["normal"]);
    now = 6_901_000;
    await api.send(message("o1"));
    assert.deepEqual(fake.fetches, ["normal", "normal"]);
    fake.behaviours.set("o2", ["invalidate", 0]);
    assert.equal((await api.send(message("o2"))).outcome, "sent");
    assert.deepEqual(fake.fetches, ["normal", "normal", "normal", "forced"]);
    fake.behaviours.set("o3", ["invalidate"]);
    await assert.rejects(api.send(message("o3")), Later);
    assert.equal(fake.fetches.filter((kind) => kind === "forced").length, 1, "forced again at once");
    assert.equal(fake.sends.filter(({ touser }) => touser === "o3").length, 2);
    const wrong = new WeChat({ appid: APPID, secret: "wrong", base_url: fake.url }, 5000);
    await assert.rejects(wrong.send(message("o1")), (error) => error instanceof Later && error.code === "token_40125");
    fake.behaviours.set("o4", ["cut"]);
    await assert.rejects(api.send(message("o4")), Unknown);
  } finally {
    await fake.close();
  }
  const gone = new WeChat({ appid: APPID, secret: SECRET, base_url: fake.url }, 5000);
  await assert.rejects(gone.send({ touser: "o1", data: {} }), Later);
});

test("an order is claimed once, by whoever comes first, and after a restart too", async () => {
  const path = join(folder, "records");
  const records = await Records.open(path, 30);
  const states = await Promise.all(Array.from({ length: 10 }, () => records.begin("shop", "A1")));
  assert.equal(states.filter((state) => state === "new").length, 1);
  assert.equal(await (await Records.open(path, 30)).begin("shop", "A1"), "sending");
  await records.end("shop", "A1", "sent");
  assert.equal(await records.begin("shop", "A1"), "sent");
  assert.equal(await records.begin("other", "A1"), "new");
  await records.release("other", "A1");
  assert.equal(await records.begin("other", "A1"), "new");
  for (const shard of await readdir(path)) for (const name of await readdir(join(path, shard))) utimesSync(join(path, shard, name), 0, 0);
  assert.equal(await (await Records.open(path, 30)).begin("shop", "A1"), "new");
});

/** The n-th write or sync of any file fails, as on a full disk. Gives whether it came so far. */
async function failAt(t, n) {
  const file = await open(folder, "r");
  const methods = Object.getPrototypeOf(file);
  await file.close();
  let calls = 0;
  for (const name of ["writeFile", "sync"]) {
    const whole = methods[name];
    t.mock.method(methods, name, async function (...given) {
      if (++calls === n) throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
      return whole.apply(this, given);
    });
  }
  return () => calls >= n;
}

/** The files of this process that are open in a folder; none where the system does not tell. */
function openIn(path) {
  try {
    return readdirSync("/proc/self/fd").filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith(path);
      } catch {
        return false;
      }
    });
  } catch {
    return [];
  }
}

test("what fails on the disk while an order is claimed leaves it free, and no file open", async (t) => {
  const path = join(folder, "full");
  const records = await Records.open(path, 30);
  let steps = 0;
  for (let isWhole = false; !isWhole; ) {
    const orderId = `FULL${++steps}`;
    const hasFailed = await failAt(t, steps);
    const outcome = await records.begin("shop", orderId).catch(({ code }) => code);
    t.mock.restoreAll();
    isWhole = !hasFailed();
    assert.equal(outcome, isWhole ? "new" : "ENOSPC", `step ${steps}`);
    assert.deepEqual(openIn(path), [], `step ${steps}`);
    assert.equal(await records.begin("shop", orderId), isWhole ? "sending" : "new", `step ${steps}`);
  }
  // At least the write and the sync of the file, and the sync of its folder.
  assert.ok(steps > 3, `${steps} steps`);
});

test("a file that a power cut left empty may be of a message that was sent", async () => {
  const path = join(folder, "cut");
  const records = await Records.open(path, 30);
  assert.equal(await records.begin("shop", "CUT1"), "new");
  for (const shard of await readdir(path)) for (const name of await readdir(join(path, shard))) await truncate(join(path, shard, name));
  assert.equal(await records.begin("shop", "CUT1"), "sending");
});

test("workers that start at the same time purge the same records", async () => {
  const path = join(folder, "shared");
  const records = await Records.open(path, 30);
  for (let order = 0; order < 50; order++) await records.begin("shop", `OLD${order}`);
  for (const shard of await readdir(path)) for (const name of await readdir(join(path, shard))) utimesSync(join(path, shard, name), 0, 0);
  await Promise.all(Array.from({ length: 5 }, () => Records.open(path, 30)));
  for (const shard of await readdir(path)) assert.deepEqual(await readdir(join(path, shard)), []);
});

test("a wrong setting is one line that names it", () => {
  writeFileSync(join(folder, "secret"), SECRET);
  const shop = { appid: APPID, secret_file: "secret", template_id: "T1", data: { thing1: "x" }, statuses: { succeeded: "好" } };
  const settings = { records_folder: "records", recipient_module: "r.mjs", merchants: { shop } };
  const read = (given) => {
    writeFileSync(join(folder, "settings.json"), JSON.stringify(given));
    return readConfig(join(folder, "settings.json"), { AMQP_URL: "amqp://127.0.0.1/" });
  };
  assert.equal(read(settings).merchants.get("shop").secret, SECRET);
  const wrong = [
    [{ ...settings, merchants: {} }, "merchants is missing or empty"],
    [{ ...settings, records_folder: "" }, "records_folder is missing"],
    [{ ...settings, record_folder: "x" }, "record_folder is not a setting"],
    [{ ...settings, records_keep_days: 1 }, "records_keep_days must be at least twice max_age_s"],
    [{ ...settings, merchants: { shop: { ...shop, template: "x" } } }, "merchants.shop.template is not a setting"],
    [{ ...settings, merchants: { shop: { ...shop, data: { thing1: 1 } } } }, "merchants.shop.data.thing1 must be a text"],
    [{ ...settings, merchants: { shop: { ...shop, miniprogram_state: "x" } } }, "merchants.shop.miniprogram_state must be developer, trial or formal"],
  ];
  for (const [given, message] of wrong) assert.throws(() => read(given), { message });
});
