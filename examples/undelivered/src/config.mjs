// The settings of the worker, with the secrets of each merchant's mini-program read.
import { fail, isObject, readFile, readSettings } from "../../worker/settings.mjs";

const OWN = { queue: "shop.undelivered", retry_after_s: 60, records_folder: "", records_keep_days: 30, recipient_module: "", max_age_s: 86_400, timeout_ms: 5000 };
const RANGES = { records_keep_days: [1, 3650], max_age_s: [60, 604_800], timeout_ms: [100, 60_000] };
const TEXTS = { appid: true, secret_file: true, template_id: true, page: false, miniprogram_state: false, lang: false, base_url: false };
const OBJECTS = { data: true, statuses: true };

function merchant(id, given, path) {
  const name = `merchants.${id}`;
  isObject(name, given);
  for (const key of Object.keys(given)) if (!Object.hasOwn(TEXTS, key) && !Object.hasOwn(OBJECTS, key)) fail(`${name}.${key} is not a setting`);
  for (const [key, needed] of Object.entries({ ...TEXTS, ...OBJECTS })) if (needed && !given[key]) fail(`${name}.${key} is missing`);
  for (const key of Object.keys(TEXTS)) if (given[key] !== undefined && typeof given[key] !== "string") fail(`${name}.${key} must be a text`);
  for (const key of Object.keys(OBJECTS)) {
    for (const [field, value] of Object.entries(isObject(`${name}.${key}`, given[key]))) if (typeof value !== "string") fail(`${name}.${key}.${field} must be a text`);
  }
  if (given.miniprogram_state && !["developer", "trial", "formal"].includes(given.miniprogram_state)) fail(`${name}.miniprogram_state must be developer, trial or formal`);
  if (given.base_url && !URL.canParse(given.base_url)) fail(`${name}.base_url is not a URL`);
  const secret = readFile(`${name}.secret_file`, path(given.secret_file)).trim();
  return { ...given, secret: secret || fail(`${name}.secret_file is empty`) };
}

/** The settings; throws SettingError. `merchants`: Map from merchant id to its mini-program and template. */
export function readConfig(file, environment) {
  const config = readSettings(file, environment, { own: OWN, ranges: RANGES, rest: ["merchants"] });
  const merchants = new Map(Object.entries(isObject("merchants", config.merchants ?? {})).map(([id, given]) => [id, merchant(id, given, config.path)]));
  if (!merchants.size) fail("merchants is missing or empty");
  for (const key of ["records_folder", "recipient_module"]) {
    if (!config[key]) fail(`${key} is missing`);
    config[key] = config.path(config[key]);
  }
  // Else a message that is still sent could have lost its record.
  if (config.records_keep_days * 86_400 < 2 * config.max_age_s) fail("records_keep_days must be at least twice max_age_s");
  return { ...config, name: "undelivered-worker", binding: "payment.undelivered", merchants };
}
