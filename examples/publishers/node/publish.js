// Publishes one payment result and ends well only when RabbitMQ has it in a queue.
//
// usage: node publish.js MERCHANT ORDER STATUS        (npm install amqplib)
// AMQP_URL, EXCHANGE and ROUTING_KEY in the environment say where to.

import { randomUUID } from "node:crypto";
import amqp from "amqplib";

const DEADLINE_MS = 10_000;
const { AMQP_URL = "amqp://127.0.0.1/", EXCHANGE = "payments", ROUTING_KEY = "payment.result.example" } = process.env;

// A CloudEvent in the structured form: everything is in the body.
const cloudEvent = (merchant, order, status) => ({
  specversion: "1.0",
  // Of this event. Whoever sends it again, after a crash, say, sends the same id, and it counts once.
  id: randomUUID(),
  source: `/merchants/${merchant}`,
  type: "payment.result",
  // When it happened at the payment provider.
  time: new Date().toISOString(),
  datacontenttype: "application/json",
  data: {
    merchant_id: merchant,
    order_id: order,
    status,
    amount: { value: 1999, currency: "CNY" }, // minor units: 19.99 yuan
    provider: "example",
  },
});

async function publish(event) {
  const connection = await amqp.connect(AMQP_URL, { timeout: DEADLINE_MS });
  const channel = await connection.createConfirmChannel();
  await new Promise((resolve, reject) => {
    connection.on("error", reject);
    channel.on("error", reject);
    // It comes before the confirm, which is positive all the same.
    channel.on("return", () => reject(new Error("no queue is bound for it")));
    const properties = {
      contentType: "application/cloudevents+json",
      persistent: true,
      messageId: event.id,
      mandatory: true, // that no queue takes it is an error
    };
    channel.publish(EXCHANGE, ROUTING_KEY, Buffer.from(JSON.stringify(event)), properties, (error) => (error ? reject(error) : resolve()));
  });
  await connection.close();
}

function fail(why) {
  console.error(why);
  process.exit(1);
}

if (process.argv.length !== 5) fail("usage: node publish.js MERCHANT ORDER STATUS");
setTimeout(fail, DEADLINE_MS, `not published: no confirm in ${DEADLINE_MS} ms`).unref();
const [merchant, order, status] = process.argv.slice(2);
const event = cloudEvent(merchant, order, status);
await publish(event).catch((error) => fail(`not published: ${error.message}`));
console.log(`published ${event.id}; look: scripts/pn order show ${merchant} ${order}`);
