// For the tests of the examples: the real program in a vhost of its own of the tests' RabbitMQ, and tools around it.
// AMQP_URL and MANAGEMENT_URL come from the environment, else from what `scripts/broker up .run/test` writes; the program is
// PAYMENT_NOTIFIER_BIN, else target/debug/payment-notifier.
import { spawn } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const START_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 15_000;

export const MERCHANT = "shop";

/** Waits until `condition` gives something true, and gives that; fails after `deadline_ms`. */
export async function until(what, condition, deadline_ms = 20_000) {
  const end = Date.now() + deadline_ms;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${deadline_ms} ms: ${what}`);
    await new Promise((go) => setTimeout(go, 20));
  }
}

function settings() {
  let file = "";
  try {
    file = readFileSync(join(ROOT, ".run/test/env"), "utf8");
  } catch {}
  const setting = (name) => {
    const value = process.env[name] || new RegExp(`^${name}=(.*)$`, "m").exec(file)?.[1];
    if (!value) throw new Error(`${name} is not set: run scripts/broker up .run/test, or set it`);
    return value;
  };
  return { amqp: new URL(setting("AMQP_URL")), management: setting("MANAGEMENT_URL").replace(/\/$/, "") };
}

/** A vhost of its own: { url, userUrl, call, closeConnections, remove }. */
export async function openVhost() {
  const { amqp, management } = settings();
  const vhost = `test-${randomBytes(8).toString("hex")}`;
  const login = Buffer.from(`${decodeURIComponent(amqp.username)}:${decodeURIComponent(amqp.password)}`).toString("base64");
  const users = [];
  async function call(method, path, body) {
    const response = await fetch(`${management}/api/${path}`, { method, headers: { authorization: `Basic ${login}`, "content-type": "application/json" }, body: body && JSON.stringify(body) });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text ? JSON.parse(text) : undefined;
  }
  await call("PUT", `vhosts/${vhost}`, {});
  await call("PUT", `permissions/${vhost}/${encodeURIComponent(decodeURIComponent(amqp.username))}`, { configure: ".*", write: ".*", read: ".*" });
  return {
    name: vhost,
    call,
    url: `amqp://${amqp.username}:${amqp.password}@${amqp.host}/${vhost}`,
    /** The URL of a new user with these permissions and no others. */
    async userUrl(permissions) {
      const name = `test-${randomBytes(8).toString("hex")}`;
      const password = randomBytes(16).toString("hex");
      await call("PUT", `users/${name}`, { password, tags: "" });
      users.push(name);
      await call("PUT", `permissions/${vhost}/${name}`, permissions);
      return `amqp://${name}:${password}@${amqp.host}/${vhost}`;
    },
    /** Cuts the connections whose name begins so, and gives how many. */
    async closeConnections(prefix) {
      const all = (await call("GET", "connections")).filter((one) => one.vhost === vhost && one.client_properties?.connection_name?.startsWith(prefix));
      // Its owner may have closed one meanwhile, because of the first.
      const cut = await Promise.allSettled(all.map(({ name }) => call("DELETE", `connections/${encodeURIComponent(name)}`)));
      return cut.filter(({ status }) => status === "fulfilled").length;
    },
    async remove() {
      await call("DELETE", `vhosts/${vhost}`);
      for (const name of users) await call("DELETE", `users/${name}`);
    },
  };
}

/**
 * A child process whose lines are read: { child, lines, line(test), end(signal) }. `line` waits for a line that fits and gives
 * it; `end` gives the exit code.
 */
export function run(command, args, { env, cwd } = {}) {
  const child = spawn(command, args, { cwd, env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  const lines = [];
  for (const output of [child.stdout, child.stderr]) createInterface(output).on("line", (line) => lines.push(line));
  const exited = new Promise((resolve) => child.once("close", (code, signal) => resolve(code ?? signal)));
  child.on("error", (error) => lines.push(error.message));
  return {
    child,
    lines,
    exited,
    line: (what, fits, deadline_ms) =>
      until(what, () => lines.find(fits), deadline_ms).catch((error) => {
        throw new Error(`${error.message}\n${lines.slice(-20).join("\n")}`);
      }),
    async end(signal = "SIGTERM") {
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      const code = await exited;
      clearTimeout(timer);
      return code;
    },
  };
}

/** The program, ready: { url, admin, ticket(orderId), payment(orderId), close() }. `more`: settings of its environment; `toml`: its file. */
export async function startProgram(vhost, more = {}, toml = "") {
  const folder = mkdtempSync(join(tmpdir(), "payment-notifier-"));
  const secret = randomBytes(32).toString("hex");
  writeFileSync(join(folder, "settings.toml"), toml);
  const program = run(process.env.PAYMENT_NOTIFIER_BIN || join(ROOT, "target/debug/payment-notifier"), ["serve", "--config", join(folder, "settings.toml")], {
    cwd: folder,
    env: {
      PAYMENT_NOTIFIER__AMQP__URL: vhost.url,
      PAYMENT_NOTIFIER__STORE__URL: `sqlite://${folder}/payments.db`,
      PAYMENT_NOTIFIER__HTTP__LISTEN: "127.0.0.1:0",
      PAYMENT_NOTIFIER__HTTP__DRAIN_S: "1",
      PAYMENT_NOTIFIER__ADMIN__LISTEN: "127.0.0.1:0",
      PAYMENT_NOTIFIER__TICKETS__HS256_SECRET: secret,
      PAYMENT_NOTIFIER__TELEMETRY__LOG_FORMAT: "json",
      ...more,
    },
  });
  const line = await program.line("the program listens", (text) => /"listening"/.test(text) && /"http":"/.test(text), START_TIMEOUT_MS);
  const at = (name) => `http://${new RegExp(`"${name}":"([^"]+)"`).exec(line)[1]}`;
  const [url, admin] = [at("http"), at("admin")];
  await until("the program is ready", async () => (await fetch(`${admin}/readyz`)).ok, START_TIMEOUT_MS);
  return {
    url,
    admin,
    ticket(orderId) {
      const claims = { aud: "payment-notifier", merchant_id: MERCHANT, order_id: orderId, sub: "oFakePayer", exp: Math.floor(Date.now() / 1000) + 600 };
      const text = [{ alg: "HS256", typ: "JWT" }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
      return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
    },
    /** The payment as a page would read it. */
    async payment(orderId) {
      const response = await fetch(`${url}/v1/payments/${encodeURIComponent(orderId)}`, { headers: { authorization: `Bearer ${this.ticket(orderId)}` } });
      return response.json();
    },
    async close() {
      await program.end();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
