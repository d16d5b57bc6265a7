// Packs the package as npm does and checks the tarball: what is in it, publint, Are The Types Wrong, and that Node.js loads it both ways.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const FOLDERS = /^(miniprogram_dist|dist)\/(adapters\/)?[\w.-]+\.(m?js|m?js\.map|d\.ts|d\.mts)$/;
const SUBPATHS = ['channel', 'several', 'page', 'vue', 'react'];
const FILES = ['LICENSE', 'README.md', 'README.zh-CN.md', 'package.json', ...SUBPATHS.map((name) => `${name}/package.json`)];
const forms = (folder, names, ends) => names.flatMap((name) => ends.map((end) => `${folder}/${name}.${end}`));
const NEEDED = [
  ...FILES,
  ...forms('miniprogram_dist', ['core', 'index', 'channel', 'several', 'page'], ['js', 'js.map', 'd.ts']),
  ...forms('dist', ['core', 'index', ...SUBPATHS], ['js', 'js.map', 'd.ts', 'mjs', 'mjs.map', 'd.mts']),
  ...forms('dist', ['payment-notifier.browser'], ['js', 'js.map']),
];

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
const node = (type, code) => run(process.execPath, ['--enable-source-maps', `--input-type=${type}`, '-e', code], { cwd: out }).trim();
const WANTED = {
  '': 'browser,miniProgram,platformOf,watchPayment',
  '/channel': 'openChannel',
  '/several': 'watchPayments',
  '/page': 'paymentComponent,paymentPage',
  '/vue': 'usePayment',
  '/react': 'usePayment',
};
const loads = (load) => `const load = ${load}; (async () => { for (const name of ${JSON.stringify(Object.keys(WANTED))})
  console.log(Object.keys(await load('payment-notifier-miniprogram' + name)).filter((key) => !/^(default|module.exports)$/.test(key)).sort().join()); })()`;
for (const [type, load] of [['commonjs', 'require'], ['module', '(name) => import(name)']]) {
  const got = node(type, loads(load));
  if (got !== Object.values(WANTED).join('\n')) throw new Error(`${type}: ${got}`);
}

// Where a mistake is thrown, by the maps: the line of the sources that says so.
const sources = readFileSync('src/faults.ts', 'utf8').split('\n');
const thrown = `src/faults.ts:${1 + sources.findIndex((line) => line.includes('throw new TypeError'))}:`;
for (const file of ['miniprogram_dist/index.js', 'dist/index.js', 'dist/index.mjs']) {
  const stack = node('module', `import('payment-notifier-miniprogram/${file}').then((sdk) => (sdk.default || sdk).watchPayment({ adapter: {} })).catch((error) => console.log(error.stack))`);
  if (!stack.includes(thrown)) throw new Error(`${file}: its map does not lead to ${thrown}\n${stack}`);
}
for (const file of names.filter((name) => /\.m?js$/.test(name))) {
  const { sources: from, sourcesContent, mappings } = JSON.parse(readFileSync(join(modules, `${file}.map`), 'utf8'));
  const right = mappings && from.every((source, i) => /^\.\.\/src\//.test(source) && readFileSync(join('src', source.slice(7)), 'utf8') === sourcesContent[i]);
  if (!right) throw new Error(`${file}.map is not of these sources: ${from}`);
}
console.log(`${packed.filename}: ${packed.files.length} files, ${packed.size} bytes; loads as CommonJS and as modules; its maps lead to the sources`);
