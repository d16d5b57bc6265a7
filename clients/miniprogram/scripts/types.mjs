// Checks the sources and the adapters against each platform's official typings: one platform a run, since their globals clash.
// And the TypeScript of the READMEs.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PLATFORMS = {
  wx: ['--lib', 'ES2017', '--types', 'miniprogram-api-typings'],
  my: ['--lib', 'ES2017', '--types', '@mini-types/my'],
  tt: ['--lib', 'ES2017', '--types', '@douyin-microapp/typings'],
  uni: ['--lib', 'ES2017', '--types', '@dcloudio/types'],
  browser: ['--lib', 'ES2017,DOM', '--types', ''],
};

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))));
const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');
const strict = '--ignoreConfig --noEmit --strict --skipLibCheck --target ES2015 --module ESNext --moduleResolution Bundler'.split(' ');
mkdirSync('build/readme', { recursive: true });
const snippets = ['README.md', 'README.zh-CN.md'].flatMap((file) =>
  [...readFileSync(file, 'utf8').matchAll(/```ts\n(.*?)```/gs)].map(([, code], i) => {
    const name = `build/readme/${file.replace(/\W/g, '-')}-${i}.ts`;
    writeFileSync(name, code.replace(/'payment-notifier-miniprogram(?:\/(\w+))?'/g, (_, subpath = 'index.bundler') => `'../../src/${subpath}'`));
    return name;
  }),
);
const runs = [
  ['READMEs', [...strict, ...PLATFORMS.browser, ...snippets]],
  ['sources', ['-p', 'tsconfig.json', '--noEmit']],
  ['tests', ['-p', 'test']],
  ...Object.entries(PLATFORMS).map(([name, options]) => [name, [...strict, ...options, `test/types/${name}.ts`]]),
];
for (const [name, options] of runs) {
  const { status } = spawnSync(process.execPath, [tsc, ...options], { stdio: 'inherit' });
  console.log(`types: ${name} ${status === 0 ? 'ok' : 'failed'}`);
  if (status !== 0) process.exitCode = 1;
}
