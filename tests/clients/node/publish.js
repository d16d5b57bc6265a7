// Publishes payment results as merchants who use amqplib do, in the forms that examples/publishers does not show.
//
// Reads one JSON object from standard input: url, exchange, routing_key and messages, each with its form and its event.
// Every message is confirmed and routed, or this ends with an error.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

// The one that the example brings.
const amqp = createRequire(new URL("../../../examples/publishers/node/", import.meta.url))("amqplib");
const job = JSON.parse(readFileSync(0, "utf8"));

function message(form, { event_id, occurred_at, ...data }) {
  const event = { event_id, occurred_at, ...data };
  // The property values of CloudEvents' own JavaScript SDK for AMQP-like transports: all of them texts.
  const attributes = {
    specversion: "1.0",
    id: event_id,
    source: `/merchants/${data.merchant_id}`,
    type: "payment.result",
    time: occurred_at,
  };
  switch (form) {
    case "plain":
      return [event, {}];
    case "plain-typed":
      return [event, { contentType: "application/json", persistent: true, messageId: event_id, timestamp: Date.now() }];
    case "cloudevents-binary": {
      const headers = Object.fromEntries(Object.entries(attributes).map(([name, value]) => [`cloudEvents:${name}`, value]));
      return [data, { contentType: "application/json", headers }];
    }
    default:
      throw new Error(`unknown form ${form}`);
  }
}

const connection = await amqp.connect(job.url);
const channel = await connection.createConfirmChannel();
channel.on("return", () => {
  throw new Error("a message was returned: nothing is bound");
});
for (const { form, event } of job.messages) {
  const [body, options] = message(form, event);
  channel.publish(job.exchange, job.routing_key, Buffer.from(JSON.stringify(body)), { mandatory: true, ...options });
}
await channel.waitForConfirms();
await connection.close();
