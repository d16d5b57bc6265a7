// The demo page, which the program embeds, has the browser build beside it as a file, so that building the program needs no Node.js.
// node scripts/demo.mjs: writes that file. node scripts/demo.mjs --check: fails if it is not what the build gives.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const built = new URL('../dist/payment-notifier.browser.js', import.meta.url);
const embedded = new URL('../../../src/demo/sdk.js', import.meta.url);
const wanted = '// Built from clients/miniprogram by `npm run demo`. Not to be edited.\n' + readFileSync(built, 'utf8').replace(/^\/\/# sourceMappingURL=.*\n/m, '');

if (!process.argv.includes('--check')) {
  writeFileSync(embedded, wanted);
} else if (readFileSync(embedded, 'utf8') !== wanted) {
  console.error(`${fileURLToPath(embedded)} is not the browser build of these sources: npm run demo`);
  process.exitCode = 1;
} else {
  console.log('src/demo/sdk.js is the browser build of these sources');
}
