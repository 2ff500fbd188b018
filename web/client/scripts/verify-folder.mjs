// Installs this folder into a project, as `npm install ../path/to/web/client` does, where nothing is built yet. It works there from
// ESM and CommonJS, and TypeScript finds the types of each export in each of its ways to resolve modules.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('..', import.meta.url));
const { exports } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
const names = Object.keys(exports).filter((path) => !/\.json$/.test(path)).map((path) => `@zonecast/client${path.slice(1)}`);
const project = await mkdtemp(join(tmpdir(), 'zonecast-project-'));
const run = (program, ...args) => execFileSync(program, args, { cwd: project, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });

try {
  await rm(join(folder, 'dist'), { recursive: true, force: true });
  await writeFile(join(project, 'package.json'), '{}');
  run('npm', 'install', '--no-audit', '--no-fund', folder);
  const uses = `client.createWebSocketClient({ url: 'http://localhost:3001' }).state.name`;
  await writeFile(join(project, 'uses.mjs'), `import * as client from '@zonecast/client'; console.log(${uses});`);
  await writeFile(join(project, 'uses.cjs'), `const client = require('@zonecast/client'); console.log(${uses});`);
  for (const program of ['uses.mjs', 'uses.cjs']) assert.equal(run(process.execPath, program), 'idle\n');

  const imports = names.map((name, at) => `import * as export${at} from '${name}';\nexport const used${at} = export${at};`).join('\n');
  for (const extension of ['ts', 'mts', 'cts']) await writeFile(join(project, `all.${extension}`), imports);
  for (const [typescript, module, moduleResolution, ...files] of [
    ['typescript-5', 'commonjs', 'node10', 'all.ts'],
    ['typescript-5', 'node16', 'node16', 'all.mts', 'all.cts'],
    ['typescript-5', 'esnext', 'bundler', 'all.ts'],
    ['typescript', 'nodenext', 'nodenext', 'all.mts', 'all.cts'],
    ['typescript', 'esnext', 'bundler', 'all.ts'],
  ]) {
    const tsc = join(folder, 'node_modules', typescript, 'bin/tsc');
    const options = ['--noEmit', '--strict', '--skipLibCheck', '--lib', 'es2022,dom', '--module', module, '--moduleResolution', moduleResolution];
    execFileSync(process.execPath, [tsc, ...options, ...files], { cwd: project, stdio: 'inherit' });
  }
  console.log(`ok: the folder can be installed; TypeScript finds ${names.length} exports by node10, node16, nodenext and bundler`);
} finally {
  await rm(project, { recursive: true, force: true });
}
