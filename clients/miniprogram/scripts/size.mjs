// Checks what the builds may not hold: more bytes gzipped than the README says, syntax after ES2015, or what platforms forbid or lack.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { parse } from 'acorn';

/** Each with its largest size, gzipped. */
const FILES = {
  'miniprogram_dist/core.js': 5000,
  'miniprogram_dist/index.js': 1100,
  'miniprogram_dist/channel.js': 1000,
  'dist/core.mjs': 5000,
  'dist/index.mjs': 1700,
  'dist/channel.mjs': 1000,
  'dist/payment-notifier.browser.js': 5000,
};
const FORBIDDEN = /\b(eval|Function\s*\(|Proxy|TextDecoder|TextEncoder|require\s*\((?!"\.\/)|process|Buffer|globalThis)\b/;

const root = dirname(dirname(fileURLToPath(import.meta.url)));
let failed = false;
for (const [file, most] of Object.entries(FILES)) {
  const code = readFileSync(join(root, file));
  const gzipped = gzipSync(code, { level: 9 }).length;
  const faults = [];
  if (gzipped >= most) faults.push(`not under ${most} bytes gzipped`);
  const found = FORBIDDEN.exec(code.toString());
  if (found) faults.push(`holds ${found[0]}`);
  try {
    parse(code.toString(), { ecmaVersion: 2015, sourceType: file.endsWith('.mjs') ? 'module' : 'script' });
  } catch (error) {
    faults.push(`no ES2015: ${error.message}`);
  }
  console.log(`${file}: ${code.length} bytes, ${gzipped} gzipped${faults.map((fault) => `; ${fault}`).join('')}`);
  failed ||= faults.length > 0;
}
process.exitCode = failed ? 1 : 0;
