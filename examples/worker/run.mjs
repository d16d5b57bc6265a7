// A worker from start to end.
import { pathToFileURL } from "node:url";
import { Broker } from "./broker.mjs";
import { log } from "./log.mjs";
import { SettingError } from "./settings.mjs";

/** The function `name` of the shop's own module at `path`. */
export async function functionOf(setting, path, name) {
  const module = await import(pathToFileURL(path).href).catch((error) => {
    throw new SettingError(`${setting}: ${path} cannot be loaded: ${error.message.split("\n")[0]}`);
  });
  if (typeof module[name] !== "function") throw new SettingError(`${setting}: ${path} does not export a function ${name}`);
  return module[name];
}

/** What is being handled, so that a stop can wait for it. */
class Open {
  #handled = new Set();

  add(handled) {
    this.#handled.add(handled);
    handled.catch(() => {}).finally(() => this.#handled.delete(handled));
    return handled;
  }

  async idle() {
    await Promise.allSettled([...this.#handled]);
  }
}

/**
 * Runs until SIGTERM or SIGINT, which let what is open end. `prepare(file, environment)` gives { config, handler }, where
 * `handler({ broker, signal })` gives the function for messages; `signal` is aborted when a stop has waited long enough.
 */
export async function runWorker(amqp, prepare) {
  try {
    if (process.argv.length !== 3) throw new SettingError("usage: node worker.mjs SETTINGS.json");
    const { config, handler } = await prepare(process.argv[2], process.env);
    const stopping = new AbortController();
    const open = new Open();
    const broker = new Broker(amqp, config, (message) => open.add(handle(message)));
    const handle = handler({ broker, signal: stopping.signal });
    broker.start();

    let isStopping = false;
    const stop = async () => {
      if (isStopping) process.exit(1);
      isStopping = true;
      log("info", "stopping");
      // What waits for longer than this goes back to the queue.
      setTimeout(() => stopping.abort(new Error("stopping")), config.stop_timeout_s * 1000).unref();
      await broker.stop(open);
      log("info", "stopped");
      process.exit(0);
    };
    process.on("SIGTERM", stop);
    process.on("SIGINT", stop);
  } catch (error) {
    console.error(`worker: ${error instanceof SettingError ? error.message : error.stack}`);
    process.exit(1);
  }
}
