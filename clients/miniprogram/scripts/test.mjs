// Bundles and runs the tests of one kind: node scripts/test.mjs unit|shims|service [name]
// Or makes build/support.cjs, which the examples' tests use: node scripts/test.mjs support
import { spawnSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const [kind, name = ''] = process.argv.slice(2);
process.chdir(dirname(dirname(fileURLToPath(import.meta.url))));
const common = { bundle: true, platform: 'node', target: 'node20', packages: 'external', sourcemap: 'inline', logLevel: 'warning' };
if (kind === 'support') {
  await build({ ...common, entryPoints: ['test/support/index.ts'], format: 'cjs', outfile: 'build/support.cjs' });
  process.exit();
}
const folder = join('test', kind);
const out = join('build', kind);
rmSync(out, { recursive: true, force: true });
const tests = readdirSync(folder).filter((file) => file.endsWith('.test.ts') && file.includes(name));
await build({
  entryPoints: tests.map((file) => join(folder, file)),
  outdir: out,
  outExtension: { '.js': '.mjs' },
  ...common,
  format: 'esm',
});
const files = tests.map((file) => join(out, file.replace(/\.ts$/, '.mjs')));
const run = spawnSync(process.execPath, ['--enable-source-maps', '--test', '--test-reporter=spec', ...files], { stdio: 'inherit' });
process.exitCode = run.status ?? 1;
