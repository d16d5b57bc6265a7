// Packs the package as npm does and checks the tarball: what is in it, publint, Are The Types Wrong, and that Node.js loads it both ways.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const FOLDERS = /^(miniprogram_dist|dist)\/(adapters\/)?[\w.-]+\.(js|mjs|d\.ts|d\.mts)$/;
const FILES = ['LICENSE', 'README.md', 'README.zh-CN.md', 'package.json', 'channel/package.json'];
const NEEDED = ['core.js', 'index.js', 'index.d.ts', 'channel.js', 'channel.d.ts'].map((file) => `miniprogram_dist/${file}`)
  .concat(['core.mjs', 'index.mjs', 'index.d.mts', 'channel.mjs', 'channel.d.mts', 'payment-notifier.browser.js'].map((file) => `dist/${file}`), FILES);

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))));
const out = resolve('build/package');
rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });

const run = (command, args, options = {}) => execFileSync(command, args, { encoding: 'utf8', ...options });
// What a new user sees, without building again: the caller has.
const [packed] = JSON.parse(run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', out]));
const names = packed.files.map(({ path }) => path);
const strange = names.filter((name) => !FILES.includes(name) && !FOLDERS.test(name));
const missing = NEEDED.filter((name) => !names.includes(name));
if (strange.length || missing.length) throw new Error(`the tarball has ${strange}, lacks ${missing}`);
for (const file of ['README.md', 'README.zh-CN.md']) {
  const broken = [...readFileSync(file, 'utf8').matchAll(/\]\((?!https:|#)([^)]*)\)/g)].map(([, link]) => link).filter((link) => !names.includes(link));
  if (broken.length) throw new Error(`${file} links to what the tarball lacks: ${broken}`);
}

const tarball = join(out, packed.filename);
const bin = (name) => resolve('node_modules/.bin', name);
run(bin('publint'), [tarball, '--strict'], { stdio: 'inherit' });
run(bin('attw'), [tarball, '--no-definitely-typed', '--format', 'ascii'], { stdio: 'inherit' });

// As npm install would put it, without asking anybody.
const modules = join(out, 'node_modules', 'payment-notifier-miniprogram');
mkdirSync(modules, { recursive: true });
run('tar', ['-xzf', tarball, '-C', modules, '--strip-components=1']);
const NAMES = "[Object.keys(sdk).sort().join(), Object.keys(channel).join()].join(' ')";
const loads = {
  commonjs: `const sdk = require('payment-notifier-miniprogram'), channel = require('payment-notifier-miniprogram/channel'); console.log(${NAMES})`,
  module: `import * as sdk from 'payment-notifier-miniprogram'; import * as channel from 'payment-notifier-miniprogram/channel'; console.log(${NAMES})`,
};
const WANTED = { commonjs: 'lineFor,miniProgram,watchPayment openChannel', module: 'browser,lineFor,miniProgram,watchPayment openChannel' };
for (const [type, code] of Object.entries(loads)) {
  const got = run(process.execPath, [`--input-type=${type}`, '-e', code], { cwd: out }).trim();
  if (got !== WANTED[type]) throw new Error(`${type}: ${got}, not ${WANTED[type]}`);
}
console.log(`${packed.filename}: ${packed.files.length} files, ${packed.size} bytes; loads as CommonJS and as a module`);
