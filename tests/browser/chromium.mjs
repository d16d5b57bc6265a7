// Chromium as the tests and the pictures of this folder use it. CHROMIUM is its path, /usr/bin/chromium if not set.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
];

/** A browser with a profile of its own, which `close` removes. `stepMs` bounds each wait; `options` are Playwright's. */
export async function openBrowser({ stepMs, ...options }) {
  const folder = await mkdtemp(join(tmpdir(), "payment-notifier-chromium-"));
  const browser = await chromium.launchPersistentContext(folder, {
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    headless: true,
    args: FLAGS,
    locale: "en-US",
    ...options,
  });
  browser.setDefaultTimeout(stepMs);
  const close = async () => {
    await browser.close();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  return { browser, close };
}

/** Puts what the page throws, and the errors and warnings of its console, into the list that `complaints()` is at that moment. */
export function hear(page, complaints) {
  page.on("pageerror", (error) => complaints().push(`thrown: ${error}`));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints().push(`${message.type()}: ${message.text()}`);
  });
}
