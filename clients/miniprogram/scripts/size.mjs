// Checks what the builds may not hold: more bytes gzipped than the README says, syntax after ES2015, or what platforms forbid or lack.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { parse } from 'acorn';

/** Each with its largest size, gzipped. */
const MOST = { core: 5000, channel: 1000, several: 1500, page: 1000, vue: 1000, react: 1000 };
const FILES = { 'miniprogram_dist/index.js': 1100, 'dist/index.js': 1700, 'dist/index.mjs': 1700, 'dist/payment-notifier.browser.js': 5000 };
for (const [name, most] of Object.entries(MOST)) {
  const isFramework = name === 'vue' || name === 'react';
  for (const file of [`miniprogram_dist/${name}.js`, `dist/${name}.js`, `dist/${name}.mjs`].slice(isFramework ? 1 : 0)) FILES[file] = most;
}
const FORBIDDEN = /\b(eval|Function\s*\(|Proxy|TextDecoder|TextEncoder|require\s*\((?!"(\.\/|vue"|react"))|process|Buffer|globalThis)\b/;

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
