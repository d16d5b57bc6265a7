// Which orders have been told of: a file for each, made before the message is sent. It is on the disk when `begin` returns, so a
// crash in between means that a message is not sent, and never that it is sent twice.
import { createHash } from "node:crypto";
import { mkdir, open, readdir, readFile, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";

const DAY_MS = 86_400_000;

async function syncFolder(path) {
  const folder = await open(path, "r");
  await folder.sync();
  await folder.close();
}

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

  async #write(path, flags, state) {
    const file = await open(path, flags, 0o600);
    await file.writeFile(state);
    await file.sync();
    await file.close();
  }

  /** Claims an order: "new" once, and then what is known of it: "sending" (the outcome is not known), "sent" or "refused". */
  async begin(merchantId, orderId) {
    const path = this.#path(merchantId, orderId);
    try {
      if (await mkdir(dirname(path), { recursive: true })) await syncFolder(this.#folder);
      await this.#write(path, "wx", "sending");
      await syncFolder(dirname(path));
      return "new";
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
      const state = await readFile(path, "utf8");
      return ["sent", "refused"].includes(state) ? state : "sending";
    }
  }

  async end(merchantId, orderId, state) {
    await this.#write(this.#path(merchantId, orderId), "w", state);
  }

  /** For what was surely not sent. */
  async release(merchantId, orderId) {
    await rm(this.#path(merchantId, orderId));
  }

  async purge(olderThanMs) {
    const before = Date.now() - olderThanMs;
    for (const shard of await readdir(this.#folder)) {
      for (const name of await readdir(join(this.#folder, shard)).catch(() => [])) {
        const path = join(this.#folder, shard, name);
        if ((await stat(path)).mtimeMs < before) await rm(path);
      }
    }
  }
}
