// Uses the built package by its name as another one would: from ESM, from CommonJS, and with the types of both.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
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
for (const hooks of [await import('@zonecast/client/react'), createRequire(import.meta.url)('@zonecast/client/react')])
  assert.deepEqual(Object.keys(hooks).sort(), ['useConnectionState', 'useZone']);

// Only this package may read the names that the build shortens: no options, states, errors or frames may have them.
const client = esm.createWebSocketClient({ url: 'http://localhost', storage: { getItem: () => null, setItem() {}, removeItem() {} } });
const error = new esm.ZonecastError('timeout', 'late', { retryAfter: 1, closeCode: 1012, cause: 'why' });
assert.deepEqual(Object.keys(client).sort(), [
  'connect',
  'disconnect',
  'echo',
  'off',
  'on',
  'onAny',
  'onState',
  'once',
  'publish',
  'rooms',
  'state',
  'subscribe',
  'unsubscribe',
]);
assert.deepEqual({ ...error, message: error.message, cause: error.cause }, {
  name: 'ZonecastError',
  message: 'late',
  code: 'timeout',
  retryAfter: 1,
  closeCode: 1012,
  cause: 'why',
});

execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '--noEmit', '--project', 'test/package'], {
  stdio: 'inherit',
});

// What would be published: the built files, and nothing of the sources or tests.
const [packed] = JSON.parse(execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { encoding: 'utf8' }));
for (const { path } of packed.files) assert.match(path, /^(dist\/|package\.json$|README\.md$|LICENSE$)/);
const built = ['esm', 'cjs'].flatMap((format) => ['index', 'react'].flatMap((entry) => ['js', 'd.ts'].map((end) => `dist/${format}/${entry}.${end}`)));
for (const path of [...built, 'README.md'])
  assert.ok(packed.files.some((file) => file.path === path), `${path} is not in the package`);
console.log(`ok: the package works from ESM and CommonJS, with types; it has ${packed.files.length} files`);
