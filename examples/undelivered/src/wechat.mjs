// WeChat's API of mini-programs: the access token and the subscribe message. The token stands in the URL, as WeChat wants it, so no
// URL is ever logged.
const BASE_URL = "https://api.weixin.qq.com";
const ANSWER_BYTES_MAX = 65_536;
/** WeChat renews a token 5 minutes before it ends, and the old one stays valid meanwhile. */
const EARLY_S = 300;
/** WeChat allows 20 forced renewals a day, 30 s apart. */
const FORCED_EVERY_MS = 60_000;
const TOKEN_INVALID = [40001, 40014, 42001];
const BUSY = [-1, 45009];
const REFUSED = 43101;
/** The connection was not even made, so nothing was sent. */
const NOT_SENT = ["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH", "UND_ERR_CONNECT_TIMEOUT"];

/** Nothing was sent, and it may go later. */
export class Later extends Error {
  constructor(code) {
    super(String(code));
    this.code = code;
  }
}

/** Whether it was sent is not known. */
export class Unknown extends Error {}

export class WeChat {
  #settings;
  #timeout_ms;
  #now;
  #token = null;
  #fetching = null;
  #forced_ms = -Infinity;

  constructor(settings, timeout_ms, now = Date.now) {
    this.#settings = settings;
    this.#timeout_ms = timeout_ms;
    this.#now = now;
  }

  async #post(path, body) {
    let response;
    try {
      response = await fetch(new URL(path, this.#settings.base_url ?? BASE_URL), {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
        redirect: "error",
        signal: AbortSignal.timeout(this.#timeout_ms),
      });
      const text = await response.text();
      const answer = text.length <= ANSWER_BYTES_MAX ? JSON.parse(text) : null;
      if (response.ok && answer !== null && typeof answer === "object") return answer;
    } catch (error) {
      if (NOT_SENT.includes(error.cause?.code)) throw new Later(error.cause.code);
    }
    throw new Unknown(response ? `http_${response.status}` : "no_answer");
  }

  async #fetchToken(force_refresh) {
    const { appid, secret } = this.#settings;
    let answer;
    try {
      answer = await this.#post("/cgi-bin/stable_token", { grant_type: "client_credential", appid, secret, force_refresh });
    } catch (error) {
      throw new Later(`token_${error.message}`);
    }
    const { access_token, expires_in, errcode } = answer;
    if (typeof access_token !== "string" || !(expires_in > 0)) throw new Later(`token_${errcode ?? "missing"}`);
    const valid_s = expires_in > 2 * EARLY_S ? expires_in - EARLY_S : expires_in / 2;
    this.#token = { text: access_token, until_ms: this.#now() + valid_s * 1000 };
  }

  /** The token that is kept, or one that is fetched once for all who wait. `not`: a token that WeChat has just refused. */
  async #accessToken(not) {
    if (this.#token && this.#token.text !== not && this.#now() < this.#token.until_ms) return this.#token.text;
    this.#fetching ??= this.#renew(not).finally(() => (this.#fetching = null));
    await this.#fetching;
    return this.#token.text;
  }

  async #renew(not) {
    await this.#fetchToken(false);
    // The usual way gives the same token while it should be valid; if it is refused all the same, only force gives another.
    if (this.#token.text !== not || this.#now() - this.#forced_ms < FORCED_EVERY_MS) return;
    this.#forced_ms = this.#now();
    await this.#fetchToken(true);
  }

  /**
   * Sends once. Gives { outcome, code }: "sent"; "refused", where the payer did not allow it or it has been used up; or
   * "unsendable", where the message itself is wrong. Throws Later or Unknown.
   */
  async send(message) {
    let token = await this.#accessToken();
    for (let isSecond = false; ; isSecond = true) {
      const { errcode = 0 } = await this.#post(`/cgi-bin/message/subscribe/send?access_token=${encodeURIComponent(token)}`, message);
      if (errcode === 0) return { outcome: "sent", code: 0 };
      if (errcode === REFUSED) return { outcome: "refused", code: errcode };
      if (BUSY.includes(errcode)) throw new Later(errcode);
      if (!TOKEN_INVALID.includes(errcode)) return { outcome: "unsendable", code: errcode };
      if (isSecond) throw new Later(errcode);
      token = await this.#accessToken(token);
    }
  }
}
