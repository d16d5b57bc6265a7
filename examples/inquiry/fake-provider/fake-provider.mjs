// A payment provider on loopback, for tests and demonstrations: WeChat Pay (API v3), Alipay and Stripe as far as orders are
// queried there. It verifies the signature of requests, signs its answers, and knows the orders that it is told of.
//
// usage: node fake-provider.mjs [--port 9400] [--keys FOLDER]        (no packages needed)
// README.md lists the control endpoints, all under /fake.
import { once } from "node:events";
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { pathToFileURL } from "node:url";
import * as alipay from "./alipay.mjs";
import { openKeys } from "./keys.mjs";
import { BadRequest, Orders } from "./orders.mjs";
import * as stripe from "./stripe.mjs";
import * as wechatPay from "./wechat-pay.mjs";

const BODY_BYTES_MAX = 65_536;
const NOTIFY_TIMEOUT_MS = 5_000;
const SLOW_MS = 300;

async function read(request) {
  const url = new URL(request.url, "http://127.0.0.1");
  const chunks = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw new BadRequest("the body is too large");
    chunks.push(chunk);
  }
  return { method: request.method, target: request.url, path: url.pathname, search: url.searchParams, headers: request.headers, body: Buffer.concat(chunks).toString("utf8") };
}

/** Sends WeChat Pay's notification of a paid order once; gives the receiver's status, or null if none answered. */
async function notify(keys, order, url) {
  const { headers, body } = wechatPay.notification(keys, order);
  try {
    const answer = await fetch(url, { method: "POST", headers, body, signal: AbortSignal.timeout(NOTIFY_TIMEOUT_MS) });
    return answer.status;
  } catch {
    return null;
  }
}

async function control({ keys, orders, description }, { method, path, body }) {
  let asked = {};
  try {
    if (body) asked = JSON.parse(body);
  } catch {
    throw new BadRequest("the body is not JSON");
  }
  switch (`${method} ${path}`) {
    case "GET /fake":
      return description();
    case "POST /fake/orders":
      return orders.put(asked);
    case "POST /fake/pay": {
      // Without "notify" the callback is lost, as it happens. true: to the order's notify_url.
      const order = orders.put({ ...asked, state: "paid" });
      const url = asked.notify === true ? order.notify_url : asked.notify;
      if (url && order.provider !== "wechat_pay") throw new BadRequest("only wechat_pay has notifications here");
      return { ...order, notified: url ? await notify(keys, order, url) : undefined };
    }
    case "POST /fake/faults":
      orders.setFault(asked);
      return {};
    case "GET /fake/queries":
      return { queries: orders.queries, concurrent_max: orders.concurrent_max };
    case "DELETE /fake/queries":
      orders.queries.length = 0;
      orders.concurrent_max = 0;
      return {};
    default:
      return null;
  }
}

async function respond(parts, incoming, response) {
  const request = await read(incoming);
  if (request.path === "/fake" || request.path.startsWith("/fake/")) {
    const given = await control(parts, request);
    response.writeHead(given ? 200 : 404, { "content-type": "application/json" });
    return response.end(JSON.stringify(given ?? { error: "no such control endpoint" }));
  }
  const provider = [[wechatPay.isWechatPay, wechatPay], [alipay.isAlipay, alipay], [stripe.isStripe, stripe]].find(([is]) => is(request.path))?.[1];
  if (!provider) return response.writeHead(404).end();
  const { status, headers, body, fault, done } = await provider.answer(parts, request);
  response.on("close", done);
  if (fault === "hang") return;
  if (fault === "slow") await new Promise((go) => setTimeout(go, SLOW_MS));
  response.writeHead(status, headers).end(body);
  done();
}

/**
 * Listens on 127.0.0.1. `port` 0: any. Gives { url, keys, orders, description(), close() }; a test may call `orders` directly
 * instead of the control endpoints.
 */
export async function startFakeProvider({ port = 0, keysFolder }) {
  const keys = openKeys(keysFolder);
  const orders = new Orders();
  let url;
  const description = () => ({
    url,
    wechat_pay: {
      mchid: wechatPay.MCHID,
      serial_no: wechatPay.MERCHANT_SERIAL,
      private_key_file: `${keys.folder}/wechat-pay-merchant-private.pem`,
      platform_keys: { [wechatPay.PUBLIC_KEY_ID]: `${keys.folder}/wechat-pay-platform-public.pem` },
      api_v3_key_file: `${keys.folder}/wechat-pay-api-v3-key`,
      base_url: `${url}/`,
    },
    alipay: {
      app_id: alipay.APP_ID,
      private_key_file: `${keys.folder}/alipay-app-private.pem`,
      public_key_file: `${keys.folder}/alipay-platform-public.pem`,
      base_url: `${url}/gateway.do`,
    },
    stripe: { secret_key_file: `${keys.folder}/stripe-key`, base_url: url },
  });
  const parts = { keys, orders, description };
  const server = createServer((request, response) => {
    respond(parts, request, response).catch((error) => {
      if (response.headersSent) return response.destroy();
      response.writeHead(error instanceof BadRequest || error instanceof SyntaxError ? 400 : 500, { "content-type": "application/json" });
      response.end(JSON.stringify({ error: error.message }));
    });
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${server.address().port}`;
  return {
    url,
    keys,
    orders,
    description,
    close: () =>
      new Promise((closed) => {
        server.close(closed);
        server.closeAllConnections();
      }),
  };
}

async function main() {
  let values;
  try {
    ({ values } = parseArgs({ options: { port: { type: "string", default: "9400" }, keys: { type: "string", default: "fake-provider-keys" } } }));
    const provider = await startFakeProvider({ port: Number(values.port), keysFolder: values.keys });
    console.log(JSON.stringify(provider.description()));
    for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => provider.close().then(() => process.exit(0)));
  } catch (error) {
    console.error(`fake-provider: ${error.message}`);
    process.exit(1);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await main();
