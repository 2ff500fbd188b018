// Uses the built package by its name as another one would: from ESM, from CommonJS, and with the
// types of both.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));

const exported = [
  'CloseCode',
  'ZonecastError',
  'createClient',
  'createWebSocketClient',
  'formatRoom',
  'longPolling',
  'parseRoom',
  'serverSentEvents',
  'webSocket',
];
const esm = await import('@zonecast/client');
const cjs = createRequire(import.meta.url)('@zonecast/client');
assert.deepEqual(Object.keys(esm).sort(), exported);
assert.deepEqual(Object.keys(cjs).sort(), exported);
const required = createRequire(import.meta.url)('@zonecast/client/react');
for (const hooks of [await import('@zonecast/client/react'), required])
  assert.deepEqual(Object.keys(hooks).sort(), ['useConnection', 'useConnectionState', 'useZone']);

for (const project of ['test/package', 'test/package/page'])
  execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '--noEmit', '--project', project], { stdio: 'inherit' });

// Projects with "moduleResolution": "node" don't read exports: they find the types by typesVersions.
const { exports, typesVersions } = createRequire(import.meta.url)('@zonecast/client/package.json');
for (const path of Object.keys(exports).filter((path) => !/^\.$|\.json$/.test(path)))
  assert.deepEqual(typesVersions['*'][path.slice(2)], [exports[path].require.types], `typesVersions lacks ${path}`);

// What would be published: the built files, and nothing of the sources or tests.
const pack = ['pack', '--dry-run', '--json', '--ignore-scripts'];
const [packed] = JSON.parse(execFileSync('npm', pack, { encoding: 'utf8' }));
for (const { path } of packed.files) assert.match(path, /^(dist\/|package\.json$|README\.md$|LICENSE$)/);
const built = ['index', 'react', 'rooms', 'offline', 'svelte', 'tabs', 'testing', 'vue', 'debug'].flatMap((name) => [`${name}.js`, `${name}.d.ts`]);
const needed = ['esm', 'cjs'].flatMap((format) => built.map((name) => `dist/${format}/${name}`));
for (const path of [...needed, 'README.md'])
  assert.ok(packed.files.some((file) => file.path === path), `${path} is not in the package`);

// Its README links to nothing that a user of the package does not have.
const inside = new Set(packed.files.map(({ path }) => path));
for (const [, target] of (await readFile('README.md', 'utf8')).matchAll(/\]\(([^)]+)\)/g))
  assert.ok(/^https?:/.test(target) || inside.has(target.replace(/#.*/, '')), `README.md links to ${target}, which is not in the package`);

// A debugger shows the sources, and an error its name, although the code is minified.
for (const { path } of packed.files.filter(({ path }) => path.endsWith('.js.map'))) {
  const { sources, sourcesContent } = JSON.parse(await readFile(path, 'utf8'));
  assert.ok(sources.length > 0 && sources.every((_, at) => sourcesContent[at]?.includes('export')), `${path} lacks its sources`);
}
for (const { ZonecastError } of [esm, cjs]) assert.match(new ZonecastError('timeout', 'late').stack, /^ZonecastError: late\n/);
console.log(`ok: the package works from ESM and CommonJS, with types; it has ${packed.files.length} files`);
