// Tells the payer by a subscribe message of WeChat what no page has shown: consumes `payment.undelivered`.
//
// usage: node worker.mjs SETTINGS.json        (npm ci; AMQP_URL or AMQP_URL_FILE in the environment; see README.md)
import amqp from "amqplib";
import { functionOf, runWorker } from "../worker/run.mjs";
import { readConfig } from "./src/config.mjs";
import { Records } from "./src/records.mjs";
import { Teller } from "./src/teller.mjs";

await runWorker(amqp, async (file, environment) => {
  const config = readConfig(file, environment);
  const recipient = await functionOf("recipient_module", config.recipient_module, "recipient");
  const records = await Records.open(config.records_folder, config.records_keep_days);
  const handler = ({ broker }) => {
    const teller = new Teller({ config, recipient, records, broker });
    return (message) => teller.handle(message);
  };
  return { config, handler };
});
