// Nodes of the service for the pictures. NOTIFIER_URL is the broker, PROGRAM the service.

import { spawn } from "node:child_process";

/** A node with a store of its own in `folder`, on free ports if `settings` name none. */
export function startNode(name, folder, settings = {}) {
  const { NOTIFIER_URL, PROGRAM } = process.env;
  const env = {
    ...process.env,
    PAYMENT_NOTIFIER__INSTANCE: name,
    PAYMENT_NOTIFIER__AMQP__URL: NOTIFIER_URL,
    PAYMENT_NOTIFIER__AMQP__DECLARE: "false",
    PAYMENT_NOTIFIER__HTTP__LISTEN: "127.0.0.1:0",
    PAYMENT_NOTIFIER__ADMIN__LISTEN: "127.0.0.1:0",
    PAYMENT_NOTIFIER__STORE__URL: `sqlite://${folder}/${name}.db`,
    PAYMENT_NOTIFIER__TICKETS__HS256_SECRET: "for-pictures-only-0123456789abcdef",
    ...settings,
  };
  return spawn(PROGRAM, ["serve"], { env, stdio: "ignore" });
}

export async function stop(child) {
  const ended = new Promise((done) => child.once("exit", done));
  child.kill("SIGTERM");
  await ended;
}
