// Answers inquiries: what is asked, how often, and what becomes of a message when the provider or RabbitMQ does not answer.
import { log } from "../../../worker/log.mjs";
import { sleep } from "../../../worker/sleep.mjs";
import { QueryError, Unanswerable } from "./errors.mjs";
import { accountsFor, checkedAttempts, event, parse, results } from "./inquiry.mjs";
import { RateLimit, SingleFlight } from "./limits.mjs";
import { alipay } from "./providers/alipay.mjs";
import { stripe } from "./providers/stripe.mjs";
import { wechatPay } from "./providers/wechat-pay.mjs";

const CLIENTS = { wechat_pay: wechatPay, alipay, stripe };
/** A provider that is busy is asked again after so long, before the message is put back for longer. */
const AGAIN_AFTER_MS = [500, 2000];
/** A provider that says "too often" is left alone for so long. */
const LIMITED_PAUSE_MS = 5000;

/** `config`: of readConfig. `attempts(merchantId, orderId, provider)`: of the shop's module, or null. `broker`: where to publish. */
export class Answerer {
  #config;
  #attempts;
  #broker;
  #signal;
  #merchants;
  #flights = new SingleFlight();

  constructor({ config, attempts, broker, signal }) {
    this.#config = config;
    this.#attempts = attempts;
    this.#broker = broker;
    this.#signal = signal;
    const client = (account) => ({ provider: account.provider, limit: new RateLimit(config.queries_per_s), ...CLIENTS[account.provider](account, config.query_timeout_ms) });
    this.#merchants = new Map([...config.merchants].map(([id, accounts]) => [id, accounts.map(client)]));
  }

  /** Gives "ack" or "dead"; throws if RabbitMQ takes nothing, so that the message comes again. */
  async handle(message) {
    let inquiry;
    try {
      inquiry = parse(message.content);
      const accounts = accountsFor(inquiry, this.#merchants);
      await this.#flights.run(`${inquiry.merchantId}/${inquiry.orderId}`, () => this.#answer(inquiry, accounts));
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

  async #answer(inquiry, accounts) {
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
    return this.#broker.publish(this.#config.exchange, `payment.result.${result.provider}`, Buffer.from(JSON.stringify(result)), properties);
  }

  async #later(message, fields, error) {
    const why = error instanceof QueryError ? { kind: error.kind, code: error.code } : { kind: "failed", code: error.message };
    const retries = this.#broker.retries(message);
    const outcome = await this.#broker.putOff(message);
    if (outcome === "dead") log("error", "inquiry given up, put into the dead queue", { ...fields, ...why, retries });
    // Somebody has to look at settings or keys.
    else log(["refused", "untrusted"].includes(why.kind) ? "error" : "warn", "inquiry put off", { ...fields, ...why, retries, again_in_s: this.#config.retry_after_s });
    return outcome;
  }
}
