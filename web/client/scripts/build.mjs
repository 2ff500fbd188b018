// Builds dist/esm and dist/cjs: minified bundles of the client and of the React hooks with their
// source maps, and the declarations beside both.
import { execFileSync } from 'node:child_process';
import { cp, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
await rm('dist', { recursive: true, force: true });

for (const format of ['esm', 'cjs'])
  await build({
    entryPoints: ['src/index.ts', 'src/react.ts'],
    outdir: `dist/${format}`,
    bundle: true,
    external: ['react'],
    format,
    minify: true,
    platform: 'neutral',
    sourcemap: true,
    target: 'es2022',
    logLevel: 'warning',
  });

execFileSync(process.execPath, ['node_modules/typescript/bin/tsc'], { stdio: 'inherit' });

// The package is of type module, so the folder of the CommonJS build says otherwise; that holds
// for its declarations too.
await cp('dist/esm', 'dist/cjs', { recursive: true, filter: (path) => !/\.js(\.map)?$/.test(path) });
await writeFile('dist/cjs/package.json', '{ "type": "commonjs" }\n');

await cp('../../LICENSE', 'dist/LICENSE');
