// Builds what the package ships: miniprogram_dist/ for mini-programs (CommonJS), dist/ for bundlers, Node.js and web pages, each with
// its typings and source maps.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { minify } from 'terser';

const ENTRIES = ['core', 'index', 'channel', 'several', 'page'];
/** Not for mini-programs as they are: their frameworks are npm packages. */
const FRAMEWORKS = ['vue', 'react'];
/** Names of properties that never leave the package, which are written short. */
const INTERNAL = /^(off|look|start|take|refuse|accept|forget|enter|leave|subscribe|up|down|frame|cancel|cancelAll|patienceMs|alarms|calls|read|report|sent|member|platform)$/;

for (const { prototype } of [Array, Function, Map, Object, Promise, RegExp, Set, String])
  for (const name of Object.getOwnPropertyNames(prototype)) if (INTERNAL.test(name)) throw new Error(`${name} is a name of JavaScript's own, and cannot be written short`);

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))));
for (const folder of ['miniprogram_dist', 'dist']) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
}

// One for all files: they hand such objects to each other.
const nameCache = {};
// Each file requires those before it, so that all share the sockets of the core.
for (const name of ENTRIES) await write(`miniprogram_dist/${name}.js`, `src/${name}.ts`, commonJs);
for (const name of [...ENTRIES, ...FRAMEWORKS]) {
  const source = name === 'index' ? 'src/index.bundler.ts' : `src/${name}.ts`;
  await write(`dist/${name}.js`, source, commonJs);
  await write(`dist/${name}.mjs`, source, (module) => module);
}
await write('dist/payment-notifier.browser.js', 'src/index.browser.ts', script);

const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');
execFileSync(process.execPath, [tsc, '-p', 'tsconfig.json'], { stdio: 'inherit' });
moveTypings();
// npm packs it only from here.
copyFileSync('../../LICENSE', 'LICENSE');

/** The typings of dist/, for CommonJS and for ES modules, whose imports have extensions; each folder has only its own entries. */
function moveTypings() {
  for (const file of readdirSync('miniprogram_dist', { recursive: true }).filter((name) => name.endsWith('.d.ts'))) {
    const from = join('miniprogram_dist', file);
    const text = readFileSync(from, 'utf8');
    const out = join('dist', file.replace('index.bundler', 'index'));
    if (file !== 'index.d.ts' && file !== 'index.browser.d.ts') {
      mkdirSync(dirname(out), { recursive: true });
      writeFileSync(out, text);
      writeFileSync(out.replace('.d.ts', '.d.mts'), text.replace(/((?:from |import\()'\.[^']*)'/g, "$1.mjs'"));
    }
    if (/^(index\.(bundler|browser)|adapters.browser|vue|react)\.d\.ts$/.test(file)) rmSync(from);
  }
}

/** One file and its source map. `form` makes of an ES module what the file is to be, and leaves each line where it is. */
async function write(out, entry, form) {
  const isScript = form === script;
  const apart = {
    name: 'apart',
    setup: ({ onResolve }) => onResolve({ filter: /^(\.\/(core|index)|vue|react)$/ }, ({ path }) => ({ path: path[0] === '.' ? path + /\.m?js$/.exec(out) : path, external: true })),
  };
  const { outputFiles } = await build({
    entryPoints: [entry],
    outfile: out,
    bundle: true,
    write: false,
    target: 'es2015',
    minifySyntax: true,
    charset: 'utf8',
    format: 'esm',
    sourcemap: 'external',
    logLevel: 'warning',
    plugins: isScript ? [] : [apart],
  });
  const [map, module] = [/\.map$/, /js$/].map((name) => outputFiles.find(({ path }) => name.test(path)).text);
  const file = basename(out);
  const minified = await minify(
    { [file]: form(module) },
    {
      module: out.endsWith('.mjs'),
      toplevel: !isScript,
      ecma: 2015,
      compress: { passes: 4, join_vars: false, unsafe_arrows: true, pure_getters: true, lhs_constants: false, unsafe_comps: true },
      mangle: { properties: { regex: INTERNAL, builtins: true } },
      nameCache,
      sourceMap: { content: map, filename: file, url: `${file}.map`, includeSources: true },
    },
  );
  delete nameCache.vars;
  writeFileSync(out, minified.code + '\n');
  writeFileSync(`${out}.map`, minified.map + '\n');
}

// The bundler's own forms of these two cost a twentieth of the size that is allowed.

function commonJs(module) {
  const required = replace(module, /import\s*\{([^}]*)\}\s*from\s*("[^"]*");/g, (_, names, from) => `const {${names.replace(/ as /g, ':')}} = require(${from});`);
  return '"use strict";' + replaceExports(required, (names) => names.map(([local, name]) => `exports.${name} = ${local};`).join(''));
}

function script(module) {
  const body = replaceExports(module, (names) => `return {${names.map(([local, name]) => `${name}: ${local}`)}};`);
  return `var PaymentNotifier = (() => {"use strict";${body}})();`;
}

function replaceExports(module, form) {
  const names = (list) => list.split(',').map((name) => name.trim().split(' as ')).filter(([local]) => local);
  return replace(module, /export\s*\{([^}]*)\};/g, (_, list) => form(names(list).map(([local, name = local]) => [local, name])));
}

/** What is put in has as many lines as what it replaces. */
function replace(text, pattern, form) {
  return text.replace(pattern, (...match) => form(...match).replace(/\s*\n\s*/g, ' ') + match[0].replace(/[^\n]/g, ''));
}
