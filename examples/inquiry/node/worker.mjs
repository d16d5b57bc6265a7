// Answers `payment.inquiry`: queries the payment provider and publishes the result.
//
// usage: node worker.mjs SETTINGS.json        (npm ci; AMQP_URL or AMQP_URL_FILE in the environment; see ../README.md)
import amqp from "amqplib";
import { functionOf, runWorker } from "../../worker/run.mjs";
import { Answerer } from "./src/answer.mjs";
import { readConfig } from "./src/config.mjs";

await runWorker(amqp, async (file, environment) => {
  const config = readConfig(file, environment);
  const attempts = config.attempts_module ? await functionOf("attempts_module", config.attempts_module, "attempts") : null;
  const handler = (parts) => {
    const answerer = new Answerer({ config, attempts, ...parts });
    return (message) => answerer.handle(message);
  };
  return { config, handler };
});
