// Builds dist/esm and dist/cjs: minified bundles of the client and of what is built on it with their
// source maps, and the declarations beside both.
import { execFileSync } from 'node:child_process';
import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { minify } from 'terser';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
await rm('dist', { recursive: true, force: true });

for (const format of ['esm', 'cjs']) {
  const { outputFiles } = await build({
    entryPoints: ['src/index.ts', 'src/react.ts', 'src/rooms.ts', 'src/offline.ts', 'src/svelte.ts', 'src/tabs.ts', 'src/testing.ts', 'src/vue.ts', 'src/debug.ts'],
    outdir: `dist/${format}`,
    bundle: true,
    minifySyntax: true,
    external: ['react', 'svelte', 'vue', '@zonecast/client'],
    format,
    platform: 'neutral',
    sourcemap: true,
    target: 'es2022',
    logLevel: 'warning',
    write: false,
  });
  await mkdir(`dist/${format}`, { recursive: true });
  for (let i = 0; i < outputFiles.length; i += 2) {
    const [map, js] = outputFiles.slice(i, i + 2);
    const name = basename(js.path);
    const { code, map: minified } = await minify(js.text, {
      module: format === 'esm',
      ecma: 2020,
      compress: { passes: 3, hoist_funs: true, inline: 1, pure_getters: true, unsafe_arrows: true },
      sourceMap: { content: map.text, url: `${name}.map`, includeSources: true },
    });
    await writeFile(js.path, code);
    await writeFile(map.path, minified);
  }
}

execFileSync(process.execPath, ['node_modules/typescript/bin/tsc'], { stdio: 'inherit' });

// The package is of type module, so the folder of the CommonJS build says otherwise; that holds
// for its declarations too.
await cp('dist/esm', 'dist/cjs', { recursive: true, filter: (path) => !/\.js(\.map)?$/.test(path) });
await writeFile('dist/cjs/package.json', '{ "type": "commonjs" }\n');

await cp('../../LICENSE', 'dist/LICENSE');
