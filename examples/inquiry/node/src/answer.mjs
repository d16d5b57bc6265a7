// Answers inquiries: what is asked, how often, and what becomes of a message when the provider or RabbitMQ does not answer.
import { QueryError, Unanswerable } from "./errors.mjs";
import { accountsFor, checkedAttempts, event, parse, results } from "./inquiry.mjs";
import { RateLimit, SingleFlight, sleep } from "./limits.mjs";
import { log } from "./log.mjs";
import { alipay } from "./providers/alipay.mjs";
import { stripe } from "./providers/stripe.mjs";
import { wechatPay } from "./providers/wechat-pay.mjs";

const CLIENTS = { wechat_pay: wechatPay, alipay, stripe };
/** A provider that is busy is asked again after so long, before the message is put back for longer. */
const AGAIN_AFTER_MS = [500, 2000];
/** A provider that says "too often" is left alone for so long. */
const LIMITED_PAUSE_MS = 5000;
const RETRIES_HEADER = "x-retries";
const UNTIL_STOPPED = new AbortController().signal;

/** `config`: of readConfig. `attempts(merchantId, orderId, provider)`: of the shop's module, or null. `broker()`: where to publish. */
export class Answerer {
  #config;
  #attempts;
  #broker;
  #signal;
  #merchants;
  #flights = new SingleFlight();
  #open = new Set();

  constructor({ config, attempts = null, broker, signal = UNTIL_STOPPED }) {
    this.#config = config;
    this.#attempts = attempts;
    this.#broker = broker;
    this.#signal = signal;
    const client = (account) => ({ provider: account.provider, limit: new RateLimit(config.queries_per_s), ...CLIENTS[account.provider](account, config.query_timeout_ms) });
    this.#merchants = new Map([...config.merchants].map(([id, accounts]) => [id, accounts.map(client)]));
  }

  /** Gives "ack" or "dead"; throws if RabbitMQ takes nothing, so that the message comes again. */
  handle(message) {
    const handled = this.#handle(message);
    this.#open.add(handled);
    handled.catch(() => {}).finally(() => this.#open.delete(handled));
    return handled;
  }

  /** Resolves when all that is open has been settled. */
  async idle() {
    await Promise.allSettled([...this.#open]);
  }

  async #handle(message) {
    let inquiry;
    try {
      inquiry = parse(message.content);
      const { merchantId, orderId, provider = "" } = inquiry;
      await this.#flights.run(`${merchantId}/${orderId}/${provider}`, () => this.#answer(inquiry));
      return "ack";
    } catch (error) {
      if (this.#signal.aborted) throw error;
      const fields = inquiry && { merchant_id: inquiry.merchantId, order_id: inquiry.orderId };
      if (error instanceof Unanswerable) {
        log("error", "inquiry not answerable, put into the dead queue", { ...fields, code: error.code });
        return "dead";
      }
      return this.#later(message, fields, error);
    }
  }

  async #answer(inquiry) {
    const accounts = accountsFor(inquiry, this.#merchants);
    const { merchantId, orderId, transactionId } = inquiry;
    const answers = [];
    for (const { provider, limit, query } of accounts) {
      const attempts = this.#attempts ? checkedAttempts(await this.#attempts(merchantId, orderId, provider)) : undefined;
      const list = await this.#ask(limit, () => query({ orderId, transactionId, attempts }));
      answers.push({ provider, list });
    }
    const found = results(answers);
    for (const result of found) await this.#publish(event(inquiry, result));
    const codes = answers.flatMap(({ list }) => list.map(({ code }) => code));
    log("info", found.length ? "result published" : "not decided yet", { merchant_id: merchantId, order_id: orderId, step: inquiry.step, codes });
  }

  async #ask(limit, query) {
    for (let tries = 0; ; tries++) {
      await limit.turn(this.#signal);
      try {
        return await query();
      } catch (error) {
        if (!(error instanceof QueryError)) throw error;
        if (error.kind === "limited") limit.pause(LIMITED_PAUSE_MS);
        if (error.kind !== "busy" || tries >= AGAIN_AFTER_MS.length) throw error;
        await sleep(AGAIN_AFTER_MS[tries], this.#signal);
      }
    }
  }

  #publish(result) {
    const properties = { contentType: "application/json", messageId: result.event_id, type: "payment.result" };
    return this.#broker().publish(this.#config.exchange, `payment.result.${result.provider}`, Buffer.from(JSON.stringify(result)), properties);
  }

  /** Puts the message into the retry queue, from which it comes back; after `retries_max` times it is given up. */
  async #later(message, fields, error) {
    const before = message.properties.headers?.[RETRIES_HEADER];
    const retries = Number.isInteger(before) ? before : 0;
    const code = error instanceof QueryError ? { kind: error.kind, code: error.code } : { kind: "failed", code: error.message };
    if (retries >= this.#config.retries_max) {
      log("error", "inquiry given up, put into the dead queue", { ...fields, ...code, retries });
      return "dead";
    }
    const needsSomebody = code.kind === "refused" || code.kind === "untrusted";
    log(needsSomebody ? "error" : "warn", "inquiry put off", { ...fields, ...code, retries, again_in_s: this.#config.retry_after_s });
    const { contentType, messageId } = message.properties;
    await this.#broker().publish("", `${this.#config.queue}.retry`, message.content, { contentType, messageId, headers: { [RETRIES_HEADER]: retries + 1 } });
    return "ack";
  }
}
