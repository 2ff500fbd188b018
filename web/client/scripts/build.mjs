// Builds dist/esm and dist/cjs: minified bundles of the client and of the React hooks with their source maps, and the declarations
// beside both.
//
//   src ─ esbuild ─▶ one module, short names ─ terser ─▶ smaller still ─▶ dist
import { execFileSync } from 'node:child_process';
import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { minify } from 'terser';
import { internalNames } from './internal-names.mjs';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
await rm('dist', { recursive: true, force: true });

async function bundle(entry, format, shorten = {}) {
  const { outputFiles } = await build({
    entryPoints: [`src/${entry}.ts`],
    outfile: `dist/${format}/${entry}.js`,
    bundle: true,
    external: ['react'],
    format,
    ...shorten,
    minify: true,
    platform: 'neutral',
    sourcemap: 'external',
    target: 'es2022',
    write: false,
    logLevel: 'warning',
  });
  const [map, code] = ['.map', '.js'].map((end) => outputFiles.find(({ path }) => path.endsWith(end)).text);
  const smaller = await minify(code, {
    module: true,
    ecma: 2022,
    compress: { hoist_funs: true, keep_fargs: false, pure_getters: true, unsafe_arrows: true },
    sourceMap: { content: map, url: `${entry}.js.map` },
  });
  await mkdir(`dist/${format}`, { recursive: true });
  await writeFile(`dist/${format}/${entry}.js`, `${smaller.code}\n`);
  await writeFile(`dist/${format}/${entry}.js.map`, smaller.map);
}
for (const format of ['esm', 'cjs']) {
  await bundle('index', format, { mangleProps: internalNames });
  await bundle('react', format);
}

execFileSync(process.execPath, ['node_modules/typescript/bin/tsc'], { stdio: 'inherit' });

// The package is of type module, so the folder of the CommonJS build says otherwise; that holds for its declarations too.
await cp('dist/esm', 'dist/cjs', { recursive: true, filter: (path) => !/\.js(\.map)?$/.test(path) });
await writeFile('dist/cjs/package.json', '{ "type": "commonjs" }\n');

await cp('../../LICENSE', 'dist/LICENSE');
