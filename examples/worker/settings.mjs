// What the workers' settings have in common: a JSON file, and AMQP_URL (or AMQP_URL_FILE) from the environment, since it holds a
// password. A wrong setting is a SettingError with one line that names it.
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";

/** Of every worker, with defaults. */
const COMMON = { declare: true, events_exchange: "payment-notifier.events", prefetch: 32, retry_after_s: 30, retries_max: 10, stop_timeout_s: 10 };
const RANGES = { prefetch: [1, 1000], retry_after_s: [1, 3600], retries_max: [0, 100], stop_timeout_s: [1, 300] };
const WHOLE = ["prefetch", "retries_max"];

export class SettingError extends Error {}

export const fail = (text) => {
  throw new SettingError(text);
};

export function isObject(name, value) {
  return value !== null && typeof value === "object" && !Array.isArray(value) ? value : fail(`${name} must be an object`);
}

export function readFile(name, path) {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    return fail(`${name}: cannot read ${path} (${error.code})`);
  }
}

function amqpUrl(environment) {
  if (environment.AMQP_URL && environment.AMQP_URL_FILE) fail("AMQP_URL and AMQP_URL_FILE are both set");
  const url = environment.AMQP_URL_FILE ? readFile("AMQP_URL_FILE", environment.AMQP_URL_FILE).trim() : environment.AMQP_URL;
  if (!url) fail("AMQP_URL is not set");
  // The text is not shown: it holds a password.
  if (!URL.canParse(url) || !/^amqps?:$/.test(new URL(url).protocol)) fail("AMQP_URL is not an amqp:// or amqps:// URL");
  return url;
}

/**
 * Reads the file. `own`: this worker's settings with their defaults, whose types the file's must have; `ranges`: [min, max] of
 * numbers among them; `rest`: names that the caller reads itself. Gives { ...settings, amqpUrl, folder, path(file) }.
 */
export function readSettings(path, environment, { own, ranges = {}, rest = [] }) {
  let given;
  const text = readFile("settings", path);
  try {
    given = JSON.parse(text);
  } catch (error) {
    fail(`${path} is not JSON: ${error.message}`);
  }
  isObject(path, given);
  const defaults = { ...COMMON, ...own };
  for (const [key, value] of Object.entries(given)) {
    if (rest.includes(key)) continue;
    if (!Object.hasOwn(defaults, key)) fail(`${key} is not a setting`);
    if (typeof value !== typeof defaults[key]) fail(`${key} must be a ${typeof defaults[key]}`);
  }
  const settings = { ...defaults, ...given };
  for (const [key, [min, max]] of Object.entries({ ...RANGES, ...ranges })) if (!(settings[key] >= min && settings[key] <= max)) fail(`${key} must be ${min} to ${max}`);
  for (const key of WHOLE) if (!Number.isInteger(settings[key])) fail(`${key} must be a whole number`);
  const folder = dirname(resolve(path));
  return { ...settings, amqpUrl: amqpUrl(environment), path: (file) => resolve(folder, file) };
}
