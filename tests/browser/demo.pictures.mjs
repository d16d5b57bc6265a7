// Takes the pictures of docs/images: the demo with a payment that has just arrived, light and dark, in each language.
// scripts/screenshots runs it and says by the environment where everything is.
//
// Nothing here waits for a fixed time: each picture waits for what it shall show.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openBrowser } from "./chromium.mjs";
import { startNode, stop } from "./service.mjs";

const { HTTP_LISTEN, PICTURES } = process.env;
const STEP_MS = 60_000;
const VIEWPORT = { width: 920, height: 640 };
/** Of each language: its tag, and what its pictures' names end with. */
const LANGUAGES = [["en", ""], ["zh", ".zh-CN"]];
const DEMO = `http://${HTTP_LISTEN}/demo`;

async function isServed() {
  const deadline = Date.now() + STEP_MS;
  while (!(await fetch(DEMO).then(({ ok }) => ok, () => false))) {
    assert.ok(Date.now() < deadline, `${DEMO} is not served`);
    await new Promise((done) => setTimeout(done, 100));
  }
}

async function picture(browser, language, name) {
  const page = await browser.newPage();
  await page.goto(`${DEMO}?lang=${language}`);
  await page.waitForSelector("#app[data-link=live]");
  await page.click("#primary");
  await page.waitForSelector("#app[data-phase=confirming]");
  for (const status of ["processing", "succeeded"]) {
    await page.click(`[data-publish=${status}]`);
    await page.waitForSelector(`#events [data-kind=came][data-status=${status}]`);
  }
  await page.waitForSelector("#app[data-phase=succeeded]");
  await page.waitForFunction(() => document.getElementById("fact-acked").textContent.endsWith("2"));
  await page.mouse.move(0, 0);
  await page.evaluate(() => document.activeElement?.blur());
  await page.screenshot({ path: join(PICTURES, `${name}.png`), fullPage: true, animations: "disabled" });
  await page.close();
}

const folder = await mkdtemp(join(tmpdir(), "payment-notifier-pictures-"));
const node = startNode("demo", folder, { PAYMENT_NOTIFIER__HTTP__LISTEN: HTTP_LISTEN, PAYMENT_NOTIFIER__DEMO__ENABLED: "true" });
try {
  await isServed();
  for (const colorScheme of ["light", "dark"]) {
    const options = { viewport: VIEWPORT, colorScheme, reducedMotion: "reduce", deviceScaleFactor: 1.5 };
    const { browser, close } = await openBrowser({ stepMs: STEP_MS, ...options });
    try {
      for (const [language, ending] of LANGUAGES) await picture(browser, language, `demo-${colorScheme}${ending}`);
    } finally {
      await close();
    }
  }
} finally {
  await stop(node);
  await rm(folder, { recursive: true, force: true });
}
