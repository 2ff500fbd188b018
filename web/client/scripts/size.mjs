// Fails when the bundle grows over its limit, or when an importer can't leave out what it doesn't use.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));

const ofPart = await build({
  stdin: { contents: `export { parseRoom } from './dist/esm/index.js'`, resolveDir: '.' },
  bundle: true,
  format: 'esm',
  minify: true,
  write: false,
});
const checks = [
  { what: 'the whole ESM bundle', content: await readFile('dist/esm/index.js'), limit: 6 * 1024 },
  { what: 'an import of parseRoom alone', content: ofPart.outputFiles[0].contents, limit: 1024 },
];
for (const { what, content, limit } of checks) {
  const size = gzipSync(content, { level: 9 }).length;
  const over = size > limit;
  console.log(`${over ? 'TOO BIG' : 'ok'}: ${what} has ${size} bytes gzipped, the limit is ${limit}`);
  if (over) process.exitCode = 1;
}
