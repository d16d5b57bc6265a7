// RabbitMQ: two connections, since a connection whose publishing the broker blocks stops acknowledging too. If one goes, both
// are made anew, with a growing pause. Whatever was not acknowledged comes again. The worker's own package brings amqplib.
import { randomUUID } from "node:crypto";
import { log } from "./log.mjs";
import { sleep } from "./sleep.mjs";

const CONNECT_TIMEOUT_MS = 10_000;
const CLOSE_TIMEOUT_MS = 2_000;
const CONFIRM_TIMEOUT_MS = 10_000;
const PAUSE_MS = { first: 500, max: 30_000 };
const DELIVERY_LIMIT = 20;
const WAITING_MAX = 100_000;
const DEAD_MAX = 10_000;
const RETRIES_HEADER = "x-retries";

const withoutPassword = (text) => String(text).replace(/\/\/[^@\s]*@/g, "//");

/** The queue that is consumed, one that gives back after a while, and one for what cannot be answered. All are bounded. */
async function declare(channel, { queue, events_exchange, binding, retry_after_s, declare: mayDeclare }) {
  if (!mayDeclare) {
    for (const name of [queue, `${queue}.retry`, `${queue}.dead`]) await channel.checkQueue(name);
    return;
  }
  const quorum = (more) => ({ durable: true, arguments: { "x-queue-type": "quorum", ...more } });
  await channel.assertQueue(`${queue}.dead`, quorum({ "x-max-length": DEAD_MAX }));
  await channel.assertQueue(`${queue}.retry`, quorum({ "x-message-ttl": retry_after_s * 1000, "x-max-length": WAITING_MAX, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue }));
  await channel.assertQueue(
    queue,
    // One worker at a time is active, and the others stand by: so what is to happen once at a time, or so often a second, does.
    quorum({ "x-single-active-consumer": true, "x-delivery-limit": DELIVERY_LIMIT, "x-max-length": WAITING_MAX, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": `${queue}.dead` }),
  );
  await channel.bindQueue(queue, events_exchange, binding);
}

export class Broker {
  #amqp;
  #config;
  #handle;
  #session = null;
  #stopping = new AbortController();
  #running;

  /**
   * `config`: { amqpUrl, name, queue, binding, events_exchange, declare, prefetch, retry_after_s, retries_max }.
   * `handle(message)` is awaited; it gives "ack" or "dead", and if it throws, the message comes again with a new session.
   */
  constructor(amqp, config, handle) {
    this.#amqp = amqp;
    this.#config = config;
    this.#handle = handle;
  }

  start() {
    this.#running = this.#run();
  }

  async #run() {
    let pause_ms = PAUSE_MS.first;
    while (!this.#stopping.signal.aborted) {
      try {
        const session = await this.#open();
        if (this.#stopping.signal.aborted) session.end("stopped");
        pause_ms = PAUSE_MS.first;
        log("info", "consuming", { queue: this.#config.queue });
        const why = await session.ended;
        if (!this.#stopping.signal.aborted) log("warn", "broker lost", { error: withoutPassword(why) });
      } catch (error) {
        if (!this.#stopping.signal.aborted) log("warn", "not consuming yet", { error: withoutPassword(error.message || error.code), again_in_ms: Math.round(pause_ms) });
      }
      await sleep(pause_ms * (0.5 + Math.random() / 2), this.#stopping.signal).catch(() => {});
      pause_ms = Math.min(PAUSE_MS.max, pause_ms * 2);
    }
  }

  async #open() {
    const session = { connections: [], returned: new Set(), open: true };
    session.ended = new Promise((end) => (session.end = end));
    const connect = async (purpose) => {
      const url = new URL(this.#config.amqpUrl);
      if (!url.searchParams.has("heartbeat")) url.searchParams.set("heartbeat", "10");
      const connection = await this.#amqp.connect(url.href, { timeout: CONNECT_TIMEOUT_MS, clientProperties: { connection_name: `${this.#config.name} ${purpose}` } });
      session.connections.push(connection);
      connection.on("error", (error) => session.end(error.message));
      connection.on("close", () => session.end("the connection was closed"));
      return connection;
    };
    try {
      const outgoing = await (await connect("publish")).createConfirmChannel();
      const incoming = await (await connect("consume")).createChannel();
      for (const channel of [outgoing, incoming]) {
        channel.on("error", (error) => session.end(error.message));
        channel.on("close", () => session.end("the channel was closed"));
      }
      outgoing.on("return", ({ properties }) => session.returned.add(properties.correlationId));
      Object.assign(session, { outgoing, incoming });
      await declare(incoming, this.#config);
      await incoming.prefetch(this.#config.prefetch);
      this.#session = session;
      const consumer = await incoming.consume(this.#config.queue, (message) => (message ? this.#settle(session, message) : session.end("the queue is gone")));
      session.consumerTag = consumer.consumerTag;
    } catch (error) {
      await this.#close(session);
      throw error;
    }
    session.closed = session.ended.then(() => this.#close(session));
    return session;
  }

  async #close(session) {
    session.open = false;
    if (this.#session === session) this.#session = null;
    const close = async (connection) => connection.close();
    // One that is gone already says so by an error; one that does not answer is given up.
    await Promise.race([Promise.allSettled(session.connections.map(close)), sleep(CLOSE_TIMEOUT_MS)]);
  }

  async #settle(session, message) {
    let outcome;
    try {
      outcome = await this.#handle(message);
    } catch (error) {
      // Of a session that is over, or stopping: the broker gives it again by itself.
      if (!this.#stopping.signal.aborted && session.open) {
        log("error", "message not settled", { error: withoutPassword(error.message) });
        session.end("a message could not be settled");
      }
      return;
    }
    if (!session.open) return;
    if (outcome === "dead") session.incoming.nack(message, false, false);
    else session.incoming.ack(message);
  }

  /** Mandatory, persistent, confirmed; rejects where no queue took it, or the broker did not say so in 10 s. */
  async publish(exchange, routingKey, body, properties) {
    const session = this.#session;
    if (!session) throw new Error("not connected");
    const correlationId = randomUUID();
    let timer;
    const confirmed = new Promise((resolve, reject) => {
      timer = setTimeout(() => reject(new Error("no confirm in time")), CONFIRM_TIMEOUT_MS);
      session.ended.then(() => reject(new Error("the connection was lost before the confirm")));
      session.outgoing.publish(exchange, routingKey, body, { ...properties, persistent: true, mandatory: true, correlationId }, (error) => (error ? reject(error) : resolve()));
    });
    try {
      await confirmed;
      // The return comes before the confirm, which is positive all the same.
      if (session.returned.delete(correlationId)) throw new Error("no queue is bound for it");
    } finally {
      clearTimeout(timer);
    }
  }

  /** How often a message has been put off. */
  retries({ properties }) {
    const before = properties.headers?.[RETRIES_HEADER];
    return Number.isInteger(before) ? before : 0;
  }

  /**
   * Puts a message into the retry queue, from which it comes back after `retry_after_s`, and gives "ack"; gives "dead" if that
   * was done `retries_max` times.
   */
  async putOff(message) {
    const retries = this.retries(message);
    if (retries >= this.#config.retries_max) return "dead";
    const { contentType, messageId } = message.properties;
    await this.publish("", `${this.#config.queue}.retry`, message.content, { contentType, messageId, headers: { [RETRIES_HEADER]: retries + 1 } });
    return "ack";
  }

  /** Takes no more messages, waits until all that are open are settled, and closes. */
  async stop(open) {
    const session = this.#session;
    if (session) await session.incoming.cancel(session.consumerTag).catch(() => {});
    await open.idle();
    this.#stopping.abort(new Error("stopping"));
    // In this order the broker has read all acknowledgements when it answers.
    if (session?.open) await session.incoming.close().catch(() => {});
    session?.end("stopped");
    await session?.closed;
    await this.#running;
  }
}
