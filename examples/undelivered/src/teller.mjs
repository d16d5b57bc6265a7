// From `payment.undelivered` to at most one message an order.
import { log } from "../../worker/log.mjs";
import { subscribeMessage } from "./message.mjs";
import { Later, Unknown, WeChat } from "./wechat.mjs";

const BODY_BYTES_MAX = 65_536;

function parse(body) {
  if (body.length > BODY_BYTES_MAX) return null;
  try {
    const event = JSON.parse(body.toString("utf8"));
    const { merchant_id, order_id, status, occurred_at } = event.data;
    const isWhole = event.type === "payment.undelivered" && [merchant_id, order_id, status].every((text) => typeof text === "string" && text);
    return isWhole && Number.isFinite(Date.parse(occurred_at)) && Number.isFinite(Date.parse(event.time)) ? event : null;
  } catch {
    return null;
  }
}

export class Teller {
  #config;
  #recipient;
  #records;
  #broker;
  #merchants;

  constructor({ config, recipient, records, broker }) {
    this.#config = config;
    this.#recipient = recipient;
    this.#records = records;
    this.#broker = broker;
    this.#merchants = new Map([...config.merchants].map(([id, settings]) => [id, { settings, api: new WeChat(settings, config.timeout_ms) }]));
  }

  /** Gives "ack" or "dead"; throws if RabbitMQ or the disk takes nothing, so that the message comes again. */
  async handle(message) {
    const event = parse(message.content);
    const merchant = event && this.#merchants.get(event.data.merchant_id);
    if (!merchant) {
      log("error", "not tellable, put into the dead queue", { code: event ? "unknown_merchant" : "not_an_undelivered_event", merchant_id: event?.data.merchant_id });
      return "dead";
    }
    const fields = { merchant_id: event.data.merchant_id, order_id: event.data.order_id };
    if (Date.now() - Date.parse(event.time) > this.#config.max_age_s * 1000) {
      log("warn", "too old, not told", fields);
      return "ack";
    }
    let prepared;
    try {
      const recipient = await this.#recipient(fields.merchant_id, fields.order_id);
      prepared = recipient?.openid ? subscribeMessage(merchant.settings, event.data, recipient) : null;
    } catch (error) {
      return this.#later(message, fields, `recipient: ${error.message}`);
    }
    if (!prepared) {
      log("info", "nobody to tell, or nothing", fields);
      return "ack";
    }
    return this.#tell(message, fields, merchant.api, prepared);
  }

  async #tell(message, fields, api, prepared) {
    const key = [fields.merchant_id, fields.order_id];
    const known = await this.#records.begin(...key);
    if (known !== "new") {
      log("info", "told before, not told again", { ...fields, record: known });
      return "ack";
    }
    try {
      const { outcome, code } = await api.send(prepared);
      if (outcome === "unsendable") {
        await this.#records.release(...key);
        log("error", "WeChat does not take the message, put into the dead queue", { ...fields, code });
        return "dead";
      }
      await this.#records.end(...key, outcome);
      log("info", outcome === "sent" ? "told" : "the payer has not allowed it", { ...fields, code });
      return "ack";
    } catch (error) {
      if (error instanceof Later) {
        await this.#records.release(...key);
        return this.#later(message, fields, error.code);
      }
      if (!(error instanceof Unknown)) throw error;
      log("warn", "outcome not known, not told again", { ...fields, code: error.message });
      return "ack";
    }
  }

  async #later(message, fields, code) {
    const outcome = await this.#broker.putOff(message);
    if (outcome === "dead") log("error", "given up, put into the dead queue", { ...fields, code });
    else log("warn", "put off", { ...fields, code, again_in_s: this.#config.retry_after_s });
    return outcome;
  }
}
