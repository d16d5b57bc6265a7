// Answers `payment.inquiry`: queries the payment provider and publishes the result.
//
// usage: node worker.mjs SETTINGS.json        (npm ci; AMQP_URL or AMQP_URL_FILE in the environment; see ../README.md)
import { pathToFileURL } from "node:url";
import { Answerer } from "./src/answer.mjs";
import { Broker } from "./src/broker.mjs";
import { readConfig } from "./src/config.mjs";
import { SettingError } from "./src/errors.mjs";
import { log } from "./src/log.mjs";

async function attemptsOf(path) {
  if (!path) return null;
  const module = await import(pathToFileURL(path).href).catch((error) => {
    throw new SettingError(`attempts_module: ${path} cannot be loaded: ${error.message.split("\n")[0]}`);
  });
  if (typeof module.attempts !== "function") throw new SettingError(`attempts_module: ${path} does not export a function attempts(merchantId, orderId, provider)`);
  return module.attempts;
}

async function main() {
  if (process.argv.length !== 3) throw new SettingError("usage: node worker.mjs SETTINGS.json");
  const config = readConfig(process.argv[2], process.env);
  const attempts = await attemptsOf(config.attempts_module);
  const stopping = new AbortController();
  const answerer = new Answerer({ config, attempts, broker: () => broker, signal: stopping.signal });
  const broker = new Broker(config, (message) => answerer.handle(message));
  broker.start();

  let asked = false;
  const stop = async () => {
    if (asked) process.exit(1);
    asked = true;
    log("info", "stopping");
    // What waits for longer than this goes back to the queue.
    setTimeout(() => stopping.abort(new Error("stopping")), config.stop_timeout_s * 1000).unref();
    await broker.stop(answerer.idle());
    log("info", "stopped");
    process.exit(0);
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
}

main().catch((error) => {
  console.error(`inquiry worker: ${error instanceof SettingError ? error.message : error.stack}`);
  process.exit(1);
});
