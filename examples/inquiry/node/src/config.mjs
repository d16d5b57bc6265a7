// The settings: AMQP_URL (or AMQP_URL_FILE) from the environment, since it holds a password, and the rest from a JSON file.
import { createPrivateKey, createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { SettingError } from "./errors.mjs";

const DEFAULTS = {
  queue: "shop.inquiry",
  declare: true,
  events_exchange: "payment-notifier.events",
  exchange: "payments",
  prefetch: 32,
  queries_per_s: 10,
  query_timeout_ms: 5000,
  retry_after_s: 30,
  retries_max: 10,
  stop_timeout_s: 10,
  attempts_module: "",
};
const RANGES = {
  prefetch: [1, 1000],
  queries_per_s: [0.01, 1000],
  query_timeout_ms: [100, 60_000],
  retry_after_s: [1, 3600],
  retries_max: [0, 100],
  stop_timeout_s: [1, 300],
};
// Key: true where it must be there. Keys that end in _file are paths beside the settings.
const ACCOUNTS = {
  wechat_pay: { mchid: true, serial_no: true, private_key_file: true, platform_keys: true, sub_mchid: false, base_url: false },
  alipay: { app_id: true, private_key_file: true, public_key_file: true, base_url: false },
  stripe: { secret_key_file: true, order_id_metadata: false, base_url: false },
};

const fail = (text) => {
  throw new SettingError(text);
};

function readFile(name, path) {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    return fail(`${name}: cannot read ${path} (${error.code})`);
  }
}

function privateKey(name, path) {
  const text = readFile(name, path).trim();
  // Alipay's key tool gives the bare base64, in either form.
  const forms = text.startsWith("-----") ? [text] : ["PRIVATE KEY", "RSA PRIVATE KEY"].map((kind) => `-----BEGIN ${kind}-----\n${text}\n-----END ${kind}-----`);
  for (const pem of forms) {
    try {
      const key = createPrivateKey(pem);
      if (key.asymmetricKeyType === "rsa") return key;
    } catch {}
  }
  return fail(`${name}: ${path} is not an RSA private key`);
}

/** A public key, or a certificate's. */
function publicKey(name, path) {
  const text = readFile(name, path).trim();
  try {
    const key = createPublicKey(text.startsWith("-----") ? text : `-----BEGIN PUBLIC KEY-----\n${text}\n-----END PUBLIC KEY-----`);
    if (key.asymmetricKeyType === "rsa") return key;
  } catch {}
  return fail(`${name}: ${path} is neither an RSA public key nor a certificate`);
}

function account(name, given, folder) {
  const { provider, ...settings } = isObject(name, given);
  const allowed = Object.hasOwn(ACCOUNTS, provider) ? ACCOUNTS[provider] : fail(`${name}.provider must be one of ${Object.keys(ACCOUNTS).join(", ")}`);
  for (const key of Object.keys(settings)) if (!Object.hasOwn(allowed, key)) fail(`${name}.${key} is not a setting of ${provider}`);
  for (const [key, needed] of Object.entries(allowed)) {
    if (needed && !settings[key]) fail(`${name}.${key} is missing`);
    if (settings[key] !== undefined && key !== "platform_keys" && typeof settings[key] !== "string") fail(`${name}.${key} must be a text`);
  }
  if (settings.base_url && !URL.canParse(settings.base_url)) fail(`${name}.base_url is not a URL`);
  const path = (file) => resolve(folder, file);
  const read = { provider, ...settings };
  if (settings.private_key_file) read.privateKey = privateKey(`${name}.private_key_file`, path(settings.private_key_file));
  if (settings.public_key_file) read.publicKey = publicKey(`${name}.public_key_file`, path(settings.public_key_file));
  if (settings.secret_key_file) read.secretKey = readFile(`${name}.secret_key_file`, path(settings.secret_key_file)).trim() || fail(`${name}.secret_key_file is empty`);
  if (settings.platform_keys) {
    const files = Object.entries(isObject(`${name}.platform_keys`, settings.platform_keys));
    if (!files.length) fail(`${name}.platform_keys is empty`);
    read.platformKeys = Object.fromEntries(files.map(([id, file]) => [id, publicKey(`${name}.platform_keys.${id}`, path(String(file)))]));
    if (Object.hasOwn(read.platformKeys, settings.serial_no)) fail(`${name}.platform_keys holds the merchant's own serial_no: WeChat Pay's keys belong there`);
  }
  return read;
}

function isObject(name, value) {
  return value !== null && typeof value === "object" && !Array.isArray(value) ? value : fail(`${name} must be an object`);
}

function amqpUrl(environment) {
  if (environment.AMQP_URL && environment.AMQP_URL_FILE) fail("AMQP_URL and AMQP_URL_FILE are both set");
  const url = environment.AMQP_URL_FILE ? readFile("AMQP_URL_FILE", environment.AMQP_URL_FILE).trim() : environment.AMQP_URL;
  if (!url) fail("AMQP_URL is not set");
  // The text is not shown: it holds a password.
  if (!URL.canParse(url) || !/^amqps?:$/.test(new URL(url).protocol)) fail("AMQP_URL is not an amqp:// or amqps:// URL");
  return url;
}

/** The settings, with keys read; throws SettingError with one line. `merchants`: Map from merchant id to its accounts. */
export function readConfig(path, environment) {
  let given;
  const text = readFile("settings", path);
  try {
    given = JSON.parse(text);
  } catch (error) {
    fail(`${path} is not JSON: ${error.message}`);
  }
  const { merchants, ...rest } = isObject(path, given);
  const config = { ...DEFAULTS, ...rest, amqpUrl: amqpUrl(environment) };
  for (const [key, value] of Object.entries(rest)) {
    if (!Object.hasOwn(DEFAULTS, key)) fail(`${key} is not a setting`);
    if (typeof value !== typeof DEFAULTS[key]) fail(`${key} must be a ${typeof DEFAULTS[key]}`);
  }
  for (const [key, [min, max]] of Object.entries(RANGES)) if (!(config[key] >= min && config[key] <= max)) fail(`${key} must be ${min} to ${max}`);
  for (const key of ["prefetch", "retries_max"]) if (!Number.isInteger(config[key])) fail(`${key} must be a whole number`);
  const folder = dirname(resolve(path));
  const accounts = (id, list) => (Array.isArray(list) && list.length ? list : fail(`merchants.${id} must be a list of accounts`)).map((one, at) => account(`merchants.${id}[${at}]`, one, folder));
  config.merchants = new Map(Object.entries(isObject("merchants", merchants ?? {})).map(([id, list]) => [id, accounts(id, list)]));
  if (!config.merchants.size) fail("merchants is missing or empty");
  if (config.attempts_module) config.attempts_module = resolve(folder, config.attempts_module);
  return config;
}
