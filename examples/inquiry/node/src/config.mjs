// The settings of the worker, with the keys of each merchant's accounts read.
import { createPrivateKey, createPublicKey } from "node:crypto";
import { fail, isObject, readFile, readSettings } from "../../../worker/settings.mjs";

const OWN = { queue: "shop.inquiry", exchange: "payments", queries_per_s: 10, query_timeout_ms: 5000, attempts_module: "" };
const RANGES = { queries_per_s: [0.01, 1000], query_timeout_ms: [100, 60_000] };
// Key: true where it must be there. Keys that end in _file are paths beside the settings.
const ACCOUNTS = {
  wechat_pay: { mchid: true, serial_no: true, private_key_file: true, platform_keys: true, sub_mchid: false, base_url: false },
  alipay: { app_id: true, private_key_file: true, public_key_file: true, base_url: false },
  stripe: { secret_key_file: true, order_id_metadata: false, base_url: false },
};

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

function account(name, given, path) {
  const { provider, ...settings } = isObject(name, given);
  const allowed = Object.hasOwn(ACCOUNTS, provider) ? ACCOUNTS[provider] : fail(`${name}.provider must be one of ${Object.keys(ACCOUNTS).join(", ")}`);
  for (const key of Object.keys(settings)) if (!Object.hasOwn(allowed, key)) fail(`${name}.${key} is not a setting of ${provider}`);
  for (const [key, needed] of Object.entries(allowed)) {
    if (needed && !settings[key]) fail(`${name}.${key} is missing`);
    if (settings[key] !== undefined && key !== "platform_keys" && typeof settings[key] !== "string") fail(`${name}.${key} must be a text`);
  }
  if (settings.base_url && !URL.canParse(settings.base_url)) fail(`${name}.base_url is not a URL`);
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

/** The settings; throws SettingError. `merchants`: Map from merchant id to its accounts. */
export function readConfig(path, environment) {
  const config = readSettings(path, environment, { own: OWN, ranges: RANGES, rest: ["merchants"] });
  const accounts = (id, list) => (Array.isArray(list) && list.length ? list : fail(`merchants.${id} must be a list of accounts`)).map((one, at) => account(`merchants.${id}[${at}]`, one, config.path));
  const merchants = new Map(Object.entries(isObject("merchants", config.merchants ?? {})).map(([id, list]) => [id, accounts(id, list)]));
  if (!merchants.size) fail("merchants is missing or empty");
  return { ...config, name: "inquiry-worker", binding: "payment.inquiry", merchants, ...(config.attempts_module && { attempts_module: config.path(config.attempts_module) }) };
}
