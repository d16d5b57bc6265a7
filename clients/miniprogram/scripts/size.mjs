// Checks what the builds may not hold: 5 kB gzipped or more, syntax after ES2015, or what platforms forbid or lack.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { parse } from 'acorn';

const GZIPPED_BYTES_MAX = 5000;
const FILES = ['miniprogram_dist/index.js', 'dist/payment-notifier.browser.js', 'dist/index.mjs'];
const FORBIDDEN = /\b(eval|Function\s*\(|Proxy|TextDecoder|TextEncoder|require\s*\(|process|Buffer|globalThis)\b/;

const root = dirname(dirname(fileURLToPath(import.meta.url)));
let failed = false;
for (const file of FILES) {
  const code = readFileSync(join(root, file));
  const gzipped = gzipSync(code, { level: 9 }).length;
  const faults = [];
  if (gzipped >= GZIPPED_BYTES_MAX) faults.push(`not under ${GZIPPED_BYTES_MAX} bytes gzipped`);
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
