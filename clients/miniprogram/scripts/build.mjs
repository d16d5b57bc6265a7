// Builds what the package ships: miniprogram_dist/ for mini-programs (CommonJS, with all typings), dist/ for bundlers and web pages.
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
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

writeFileSync('miniprogram_dist/index.js', commonJs(await bundle('src/index.ts')));
writeFileSync('dist/index.mjs', await bundle('src/index.bundler.ts'));
writeFileSync('dist/payment-notifier.browser.js', script('PaymentNotifier', await bundle('src/index.browser.ts')));

const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');
execFileSync(process.execPath, [tsc, '-p', 'tsconfig.json'], { stdio: 'inherit' });

async function bundle(entry) {
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    target: 'es2015',
    minify: true,
    charset: 'utf8',
    format: 'esm',
    logLevel: 'warning',
  });
  const { code } = await minify(outputFiles[0].text, {
    module: true,
    ecma: 2015,
    compress: { passes: 4, unsafe_arrows: true, pure_getters: true, lhs_constants: false },
  });
  return code + '\n';
}

// The bundler's own forms of these two cost a twentieth of the size that is allowed.

function commonJs(module) {
  return replaceExports(module, (names) => names.map(([local, name]) => `exports.${name}=${local};`).join(''));
}

function script(global, module) {
  const body = replaceExports(module, (names) => `return{${names.map(([local, name]) => `${name}:${local}`)}}`);
  return `var ${global}=function(){${body.trimEnd()}}();\n`;
}

function replaceExports(module, write) {
  const exports = /export\s*\{([^}]*)\};?\s*$/;
  const names = exports.exec(module)[1].split(',').map((name) => name.split(' as '));
  return '"use strict";' + module.replace(exports, '') + write(names.map(([local, name = local]) => [local, name])) + '\n';
}
