// Builds what the package ships: miniprogram_dist/ for mini-programs (CommonJS), dist/ for bundlers and web pages, each with its typings.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { minify } from 'terser';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
process.chdir(root);
for (const folder of ['miniprogram_dist', 'dist']) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
}

// Each file requires those before it, so that all share the sockets of the core.
for (const [name, entry] of [['core', 'core'], ['index', 'index'], ['channel', 'channel']]) {
  writeFileSync(`miniprogram_dist/${name}.js`, commonJs(await bundle(`src/${entry}.ts`, '.js')));
}
for (const [name, entry] of [['core', 'core'], ['index', 'index.bundler'], ['channel', 'channel']]) {
  writeFileSync(`dist/${name}.mjs`, await bundle(`src/${entry}.ts`, '.mjs'));
}
writeFileSync('dist/payment-notifier.browser.js', script('PaymentNotifier', await bundle('src/index.browser.ts')));

const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');
execFileSync(process.execPath, [tsc, '-p', 'tsconfig.json'], { stdio: 'inherit' });
moveTypings();
// npm packs it only from here.
copyFileSync('../../LICENSE', 'LICENSE');

/** The typings of the ES modules, whose imports have extensions, beside them; each kind has only its own entries. */
function moveTypings() {
  const typings = readdirSync('miniprogram_dist', { recursive: true }).filter((file) => file.endsWith('.d.ts'));
  for (const file of typings) {
    if (file === 'index.d.ts' || file === 'index.browser.d.ts') continue;
    const out = join('dist', file.replace('index.bundler', 'index').replace('.d.ts', '.d.mts'));
    mkdirSync(dirname(out), { recursive: true });
    writeFileSync(out, readFileSync(join('miniprogram_dist', file), 'utf8').replace(/(from '\.[^']*)'/g, "$1.mjs'"));
  }
  for (const file of ['index.bundler.d.ts', 'index.browser.d.ts', 'adapters/browser.d.ts']) rmSync(join('miniprogram_dist', file));
}

/** `extension`: of the files that the entry's `./core` and `./index` become; absent: all is one file. */
async function bundle(entry, extension) {
  const apart = {
    name: 'apart',
    setup: ({ onResolve }) => onResolve({ filter: /^\.\/(core|index)$/ }, ({ path }) => ({ path: path + extension, external: true })),
  };
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    target: 'es2015',
    minify: true,
    charset: 'utf8',
    format: 'esm',
    logLevel: 'warning',
    plugins: extension ? [apart] : [],
  });
  const { code } = await minify(outputFiles[0].text, {
    module: true,
    ecma: 2015,
    compress: { passes: 4, unsafe_arrows: true, pure_getters: true, lhs_constants: false, unsafe_comps: true },
  });
  return code + '\n';
}

// The bundler's own forms of these two cost a twentieth of the size that is allowed.

function commonJs(module) {
  const required = module.replace(/import\s*\{([^}]*)\}\s*from\s*("[^"]*");?/g, (_, names, from) => `const{${names.replace(/ as /g, ':')}}=require(${from});`);
  return replaceExports(required, (names) => names.map(([local, name]) => `exports.${name}=${local};`).join(''));
}

function script(global, module) {
  const body = replaceExports(module, (names) => `return{${names.map(([local, name]) => `${name}:${local}`)}}`);
  return `var ${global}=(()=>{${body.trimEnd()}})();\n`;
}

function replaceExports(module, write) {
  const exports = /export\s*\{([^}]*)\};?\s*$/;
  const names = exports.exec(module)[1].split(',').map((name) => name.split(' as '));
  return '"use strict";' + module.replace(exports, '') + write(names.map(([local, name = local]) => [local, name])) + '\n';
}
