// Which orders have been told of: a file for each, made before the message is sent. It is on the disk when `begin` returns, so a
// crash in between means that a message is not sent, and never that it is sent twice.
import { createHash } from "node:crypto";
import { mkdir, open, readdir, readFile, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";

const DAY_MS = 86_400_000;

async function syncFolder(path) {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function write(file, state) {
  try {
    await file.writeFile(state);
    await file.sync();
  } finally {
    await file.close();
  }
}

const unlessGone = (error) => {
  if (error.code !== "ENOENT") throw error;
};

export class Records {
  #folder;

  constructor(folder) {
    this.#folder = folder;
  }

  /** Records older than `keepDays` are removed at once and then every day. */
  static async open(folder, keepDays) {
    const made = await mkdir(folder, { recursive: true, mode: 0o700 });
    if (made) await syncFolder(dirname(made));
    const records = new Records(folder);
    await records.purge(keepDays * DAY_MS);
    setInterval(() => records.purge(keepDays * DAY_MS).catch(() => {}), DAY_MS).unref();
    return records;
  }

  #path(merchantId, orderId) {
    const name = createHash("sha256").update(`${merchantId}\n${orderId}`).digest("hex");
    return join(this.#folder, name.slice(0, 2), name);
  }

  /** Claims an order: "new" once, and then what is known of it: "sending" (the outcome is not known), "sent" or "refused". */
  async begin(merchantId, orderId) {
    const path = this.#path(merchantId, orderId);
    if (await mkdir(dirname(path), { recursive: true })) await syncFolder(this.#folder);
    let file;
    try {
      file = await open(path, "wx", 0o600);
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
      const state = await readFile(path, "utf8");
      // Empty it is while it is written, and after a power cut, which may have come when `end` wrote: the message may be sent.
      return ["sent", "refused"].includes(state) ? state : "sending";
    }
    try {
      await write(file, "sending");
      await syncFolder(dirname(path));
      return "new";
    } catch (error) {
      // Surely not sent: the order is free when the message comes again.
      await rm(path, { force: true }).catch(() => {});
      throw error;
    }
  }

  async end(merchantId, orderId, state) {
    await write(await open(this.#path(merchantId, orderId), "w", 0o600), state);
  }

  /** For what was surely not sent. */
  async release(merchantId, orderId) {
    await rm(this.#path(merchantId, orderId));
  }

  /** Several workers may do so at once: what another has removed is gone. */
  async purge(olderThanMs) {
    const before = Date.now() - olderThanMs;
    for (const shard of await readdir(this.#folder)) {
      for (const name of await readdir(join(this.#folder, shard)).catch(() => [])) {
        const path = join(this.#folder, shard, name);
        const file = await stat(path).catch(unlessGone);
        if (file?.mtimeMs < before) await rm(path, { force: true });
      }
    }
  }
}
