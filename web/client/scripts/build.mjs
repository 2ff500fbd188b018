// Builds dist/esm and dist/cjs: one minified bundle each with its source map, and the declarations beside both.
import { execFileSync } from 'node:child_process';
import { cp, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
await rm('dist', { recursive: true, force: true });

const bundle = (format) =>
  build({
    entryPoints: ['src/index.ts'],
    outfile: `dist/${format}/index.js`,
    bundle: true,
    format,
    minify: true,
    platform: 'neutral',
    sourcemap: true,
    target: 'es2022',
    logLevel: 'warning',
  });
await Promise.all([bundle('esm'), bundle('cjs')]);

execFileSync(process.execPath, ['node_modules/typescript/bin/tsc'], { stdio: 'inherit' });

// The package is of type module, so the folder of the CommonJS build says otherwise; that holds for its declarations too.
await cp('dist/esm', 'dist/cjs', { recursive: true, filter: (path) => !/index\.js(\.map)?$/.test(path) });
await writeFile('dist/cjs/package.json', '{ "type": "commonjs" }\n');

await cp('../../LICENSE', 'dist/LICENSE');
