// The keys of both sides: the merchant's, with which requests are signed, and the provider's, with which answers are.
// They are made once, into a folder, and mean nothing anywhere else.
import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const PAIRS = ["wechat-pay-merchant", "wechat-pay-platform", "alipay-app", "alipay-platform"];
const SECRETS = { "wechat-pay-api-v3-key": () => randomBytes(16).toString("hex"), "stripe-key": () => `sk_test_${randomBytes(16).toString("hex")}` };

/**
 * Makes what is missing in `folder`: NAME-private.pem and NAME-public.pem for each pair, and one file for each secret.
 * Gives { folder, pairs: { NAME: { privateKey, publicKey } }, secrets: { NAME: text } }.
 */
export function openKeys(folder) {
  const at = resolve(folder);
  mkdirSync(at, { recursive: true, mode: 0o700 });
  const pairs = {};
  for (const name of PAIRS) {
    const file = join(at, `${name}-private.pem`);
    if (!existsSync(file)) {
      const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
      writeFileSync(file, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
      writeFileSync(join(at, `${name}-public.pem`), publicKey.export({ type: "spki", format: "pem" }));
    }
    const privateKey = createPrivateKey(readFileSync(file));
    pairs[name] = { privateKey, publicKey: createPublicKey(privateKey) };
  }
  const secrets = {};
  for (const [name, make] of Object.entries(SECRETS)) {
    const file = join(at, name);
    if (!existsSync(file)) writeFileSync(file, make(), { mode: 0o600 });
    secrets[name] = readFileSync(file, "utf8").trim();
  }
  return { folder: at, pairs, secrets };
}
