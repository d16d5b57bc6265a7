// Each publisher against a broker that lives and says nothing: it gives up in time, and says so.
//
// usage: node --test examples/publishers/test/deadline.test.mjs        (PYTHON: one that has pika)
// What cannot be run here is left out.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

const PUBLISHERS = dirname(dirname(fileURLToPath(import.meta.url)));
const ROOT = dirname(dirname(PUBLISHERS));
const DEADLINE_MS = 10_000;
/** For the start of a program on a machine that is busy. */
const START_MS = 50_000;
const HEARTBEAT_EVERY_MS = 1_000;

const METHOD = 1;
const HEARTBEAT = 8;
const OVERHEAD_BYTES = 8;
const [START, START_OK, TUNE, OPEN, OPEN_OK] = ["10.10", "10.11", "10.30", "10.40", "10.41"];
const [CHANNEL_OPEN, CHANNEL_OPEN_OK] = ["20.10", "20.11"];
const [CONFIRM_SELECT, CONFIRM_SELECT_OK] = ["85.10", "85.11"];
const PUBLISH = "60.40";

const short = (text) => Buffer.concat([Buffer.from([text.length]), Buffer.from(text)]);
const long = (bytes) => {
  const size = Buffer.alloc(4);
  size.writeUInt32BE(bytes.length);
  return Buffer.concat([size, Buffer.from(bytes)]);
};
const table = (entries) => long(Buffer.concat(entries.flatMap(([name, kind, value]) => [short(name), Buffer.from(kind), value])));
const yes = Buffer.from([1]);
const capabilities = table([["publisher_confirms", "t", yes], ["basic.nack", "t", yes]]);

const ANSWERS = {
  [START_OK]: [TUNE, Buffer.from([0x07, 0xff, 0, 2, 0, 0, 0, 60])],
  [OPEN]: [OPEN_OK, short("")],
  [CHANNEL_OPEN]: [CHANNEL_OPEN_OK, long("")],
  [CONFIRM_SELECT]: [CONFIRM_SELECT_OK, Buffer.alloc(0)],
};

function frame(type, channel, payload) {
  const head = Buffer.alloc(7);
  head.writeUInt8(type);
  head.writeUInt16BE(channel, 1);
  head.writeUInt32BE(payload.length, 3);
  return Buffer.concat([head, payload, Buffer.from([0xce])]);
}

function method(name, channel, fields) {
  const id = Buffer.alloc(4);
  name.split(".").forEach((part, at) => id.writeUInt16BE(Number(part), 2 * at));
  return frame(METHOD, channel, Buffer.concat([id, fields]));
}

/** From `silentAt` on it reads nothing more, as RabbitMQ does when it is short of memory, and its heartbeats go on. */
function silentBroker(silentAt) {
  const reached = new Set();
  const server = createServer((socket) => {
    let rest = Buffer.alloc(0);
    let isGreeted = false;
    const heartbeats = setInterval(() => socket.write(frame(HEARTBEAT, 0, Buffer.alloc(0))), HEARTBEAT_EVERY_MS);
    socket.on("error", () => {});
    socket.on("close", () => clearInterval(heartbeats));
    socket.on("data", (bytes) => {
      rest = Buffer.concat([rest, bytes]);
      if (!isGreeted && rest.length >= 8) {
        isGreeted = true;
        rest = rest.subarray(8);
        socket.write(method(START, 0, Buffer.concat([Buffer.from([0, 9]), table([["capabilities", "F", capabilities]]), long("PLAIN"), long("en_US")])));
      }
      while (isGreeted && rest.length >= OVERHEAD_BYTES && rest.length >= OVERHEAD_BYTES + rest.readUInt32BE(3)) {
        const size = OVERHEAD_BYTES + rest.readUInt32BE(3);
        const [type, channel, id] = [rest.readUInt8(), rest.readUInt16BE(1), `${rest.readUInt16BE(7)}.${rest.readUInt16BE(9)}`];
        rest = rest.subarray(size);
        if (type !== METHOD) continue;
        reached.add(id);
        if (id === silentAt) {
          socket.removeAllListeners("data");
          socket.pause();
          return;
        }
        if (ANSWERS[id]) socket.write(method(ANSWERS[id][0], channel, ANSWERS[id][1]));
      }
    });
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve({ server, reached, url: `amqp://guest:guest@127.0.0.1:${server.address().port}/%2f` })));
}

const compiled = mkdtempSync(join(tmpdir(), "publishers-"));
after(() => rmSync(compiled, { recursive: true, force: true }));

const runs = (command, ...given) => spawnSync(command, given, { stdio: "ignore" }).status === 0;
const JARS = ["amqp-client", "slf4j-api", "slf4j-nop"].map((name) => `/usr/share/java/${name}.jar`);
const GO_PACKAGES = "/usr/share/gocode";

/** The command of each language, or null where it cannot be run here. */
const COMMANDS = {
  python() {
    const python = process.env.PYTHON ?? join(ROOT, ".run/venv/bin/python");
    return runs(python, "-c", "import pika") ? [python, join(PUBLISHERS, "python/publish.py")] : null;
  },
  node: () => (existsSync(join(PUBLISHERS, "node/node_modules/amqplib")) ? [process.execPath, join(PUBLISHERS, "node/publish.js")] : null),
  rust() {
    const program = join(ROOT, "target/debug/examples/publish");
    return existsSync(program) ? [program] : null;
  },
  go() {
    if (!existsSync(join(GO_PACKAGES, "src/github.com/rabbitmq/amqp091-go"))) return null;
    const program = join(compiled, "publish");
    const env = { ...process.env, GO111MODULE: "off", GOPATH: GO_PACKAGES };
    const { status, stderr } = spawnSync("go", ["build", "-o", program, join(PUBLISHERS, "go/publish.go")], { env, encoding: "utf8" });
    assert.equal(status ?? 0, 0, stderr);
    return status === 0 ? [program] : null;
  },
  php: () => (runs("php", "-r", "require 'PhpAmqpLib/autoload.php';") ? ["php", join(PUBLISHERS, "php/publish.php")] : null),
  java() {
    if (!JARS.every((jar) => existsSync(jar))) return null;
    const { status, stderr } = spawnSync("javac", ["-cp", JARS.join(delimiter), "-d", compiled, join(PUBLISHERS, "java/Publish.java")], { encoding: "utf8" });
    assert.equal(status ?? 0, 0, stderr);
    return status === 0 ? ["java", "-cp", [compiled, ...JARS].join(delimiter), "Publish"] : null;
  },
};

/** How a publisher ended: { code, said, after_ms }; `code` is null if it had to be killed. */
function end([command, ...given], url) {
  const env = { ...process.env, AMQP_URL: url };
  for (const name of ["EXCHANGE", "ROUTING_KEY"]) delete env[name];
  const since = Date.now();
  const child = spawn(command, [...given, "demo-shop", "A10001", "succeeded"], { env, stdio: ["ignore", "pipe", "pipe"] });
  const kill = setTimeout(() => child.kill("SIGKILL"), DEADLINE_MS + START_MS);
  const said = { stdout: "", stderr: "" };
  for (const name of Object.keys(said)) child[name].setEncoding("utf8").on("data", (text) => (said[name] += text));
  return new Promise((resolve) =>
    child.on("close", (code) => {
      clearTimeout(kill);
      resolve({ code, ...said, after_ms: Date.now() - since });
    }),
  );
}

// What is compiled is compiled before the brokers have to answer.
const found = Object.entries(COMMANDS).map(([language, command]) => [language, command()]);

describe("a broker that says nothing is not waited for longer than 10 s", { concurrency: 4 }, () => {
  for (const [language, command] of found) {
    for (const silentAt of [PUBLISH, CHANNEL_OPEN]) {
      test(`${language}, ${silentAt === PUBLISH ? "no confirm" : "no channel"}`, { skip: !command && "cannot be run here" }, async () => {
        const broker = await silentBroker(silentAt);
        const { code, stdout, stderr, after_ms } = await end(command, broker.url);
        broker.server.close();
        const what = `after ${after_ms} ms: ${code} ${stdout}${stderr}`;
        assert.ok(broker.reached.has(silentAt), what);
        assert.equal(code, 1, what);
        assert.equal(stdout, "", what);
        assert.match(stderr, /^not published: no confirm in 10(?: ?s|000 ms)\n$/, what);
      });
    }
  }
});
