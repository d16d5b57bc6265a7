// Mints a ticket for one page: node ticket.mjs MERCHANT ORDER SUB, with the shared secret in TICKET_SECRET.

import { createHmac } from "node:crypto";

const TTL_S = 15 * 60;
const SECRET_BYTES_MIN = 32;

/** A JWT by HMAC-SHA256. `sub` is the payer: openid or user id. For several orders `order_id` is an array, of at most 20. */
function mint(secret, merchant_id, order_id, sub) {
  const header = { alg: "HS256", typ: "JWT" };
  const claims = { aud: "payment-notifier", merchant_id, order_id, sub, exp: Math.floor(Date.now() / 1000) + TTL_S };
  const signed = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

function fail(why) {
  console.error(why);
  process.exit(1);
}

const secret = process.env.TICKET_SECRET ?? "";
if (process.argv.length !== 5) fail("usage: node ticket.mjs MERCHANT ORDER SUB");
if (Buffer.byteLength(secret) < SECRET_BYTES_MIN) fail(`TICKET_SECRET must have at least ${SECRET_BYTES_MIN} bytes`);
console.log(mint(secret, ...process.argv.slice(2)));
