// WeChat's API of mini-programs on loopback: stable_token and the subscribe message.
import { once } from "node:events";
import { createServer } from "node:http";

export const APPID = "wx00000000000000ab";
export const SECRET = "0123456789abcdef0123456789abcdef";
const LENGTHS_MAX = { thing: 20, character_string: 32, phrase: 5 };

/**
 * `behaviours`: an openid's answers in turn, the last of which stays: an errcode, "hang" or "cut" (the message is taken, and no
 * answer comes), or "invalidate" (the token ends before its time).
 */
export async function startFakeWeChat() {
  const fake = { tokens: [], sends: [], behaviours: new Map(), expires_in: 7200, fetches: [] };
  let token = null;
  const renew = () => {
    token = `token-${fake.tokens.length}-${"x".repeat(64)}`;
    fake.tokens.push(token);
  };

  function stableToken({ grant_type, appid, secret, force_refresh }) {
    fake.fetches.push(force_refresh ? "forced" : "normal");
    if (grant_type !== "client_credential") return { errcode: 40002, errmsg: "invalid grant_type" };
    if (appid !== APPID) return { errcode: 40013, errmsg: "invalid appid" };
    if (secret !== SECRET) return { errcode: 40125, errmsg: "invalid appsecret" };
    if (!token || force_refresh) renew();
    return { access_token: token, expires_in: fake.expires_in };
  }

  function send(search, message) {
    const next = fake.behaviours.get(message.touser) ?? [0];
    const behaviour = next.length > 1 ? next.shift() : next[0];
    fake.sends.push({ ...message, token: search.get("access_token"), behaviour });
    if (behaviour === "invalidate") return { errcode: 40001, errmsg: "invalid credential" };
    if (search.get("access_token") !== token) return { errcode: 42001, errmsg: "access_token expired" };
    for (const [field, { value }] of Object.entries(message.data)) {
      if (typeof value !== "string" || Array.from(value).length > (LENGTHS_MAX[field.replace(/\d+$/, "")] ?? 100)) return { errcode: 47003, errmsg: `argument invalid! data.${field}.value invalid` };
    }
    return typeof behaviour === "number" ? { errcode: behaviour, errmsg: behaviour ? "not ok" : "ok" } : behaviour;
  }

  const server = createServer(async (request, response) => {
    const chunks = [];
    try {
      for await (const chunk of request) chunks.push(chunk);
    } catch {
      // The worker was ended in the midst of it.
      return;
    }
    const url = new URL(request.url, "http://127.0.0.1");
    const body = JSON.parse(Buffer.concat(chunks));
    const routes = { "/cgi-bin/stable_token": () => stableToken(body), "/cgi-bin/message/subscribe/send": () => send(url.searchParams, body) };
    const answer = routes[url.pathname]?.();
    if (answer === "hang") return;
    if (answer === "cut") return response.destroy();
    response.writeHead(answer ? 200 : 404, { "content-type": "application/json" });
    response.end(JSON.stringify(answer ?? {}));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  fake.url = `http://127.0.0.1:${server.address().port}`;
  fake.close = () =>
    new Promise((closed) => {
      server.close(closed);
      server.closeAllConnections();
    });
  return fake;
}
