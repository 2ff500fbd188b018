// Fails when the bundle grows over its limit, or when an importer can't leave out what it doesn't
// use.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));

/** What a page loads: without the reference to the source map, which bundlers take out. */
async function code(entry) {
  return (await readFile(`dist/esm/${entry}.js`, 'utf8')).replace(/^\/\/# sourceMappingURL=.*\n?/m, '');
}

/** What is left of the package in the bundle of an importer. */
async function using(names) {
  const contents = `export { ${names} } from './dist/esm/index.js'`;
  const stdin = { contents, resolveDir: '.' };
  const { outputFiles } = await build({ stdin, bundle: true, format: 'esm', minify: true, write: false });
  return outputFiles[0].contents;
}

const checks = [
  { what: 'the whole client with all transports', content: await code('index'), limit: 8 * 1024 },
  { what: 'the server for tests', content: await code('testing'), limit: 2048 },
  { what: 'the trace of a client', content: await code('debug'), limit: 1024 },
  { what: 'one connection for all tabs', content: await code('tabs'), limit: 3200 },
  { what: 'the outbox', content: await code('offline'), limit: 2048 },
  { what: 'the handles of rooms', content: await code('rooms'), limit: 2048 },
  { what: 'the hooks for React, with them', content: await code('react'), limit: 2560 },
  { what: 'the composables for Vue, with them', content: await code('vue'), limit: 2560 },
  { what: 'the stores for Svelte, with them', content: await code('svelte'), limit: 2560 },
  { what: 'a client with one transport', content: await using('createClient, webSocket'), limit: 7.5 * 1024 },
  { what: 'an import of parseRoom alone', content: await using('parseRoom'), limit: 1024 },
];
for (const { what, content, limit } of checks) {
  const size = gzipSync(content, { level: 9 }).length;
  const over = size > limit;
  console.log(`${over ? 'TOO BIG' : 'ok'}: ${what} has ${size} bytes gzipped, the limit is ${limit}`);
  if (over) process.exitCode = 1;
}
