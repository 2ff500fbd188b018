import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { Network } from './network.js';
import { eventually } from './real-client.js';
import { RealServer } from './real-server.js';

const path = (name: string) => fileURLToPath(new URL(`node-versions/${name}`, import.meta.url));

/** npm has them for this platform; on another one the Node that runs the tests is tested alone. */
const versions =
  `${process.platform} ${process.arch}` === 'linux x64'
    ? ['v20', 'v22', 'v24'].map((version) => ({ version, node: path(`node_modules/node${version.slice(1)}/bin/node`) }))
    : [{ version: process.version, node: process.execPath }];

let server: RealServer;
beforeAll(async () => void (server = await RealServer.start()));
afterAll(() => server?.stop());

/** What each of the program's clients says next, line by line. */
function run(node: string, url: string) {
  const program = spawn(node, ['--no-warnings', path('program.mjs'), url], { stdio: ['pipe', 'pipe', 'inherit'] });
  onTestFinished(() => void program.kill('SIGKILL'));
  const ended = once(program, 'close') as Promise<[number | null]>;
  let output = '';
  program.stdout.on('data', (chunk) => (output += String(chunk)));
  const says = (...lines: string[]) =>
    eventually(() => {
      for (const transport of ['websocket', 'poll', 'sse'])
        expect(output.split('\n').filter((line) => line.startsWith(transport))).toEqual(lines.map((line) => `${transport} ${line}`));
    });
  return { program, says, ended };
}

const publish = (data: string) => Promise.all(['websocket', 'poll', 'sse'].map((zone) => server.publish('w', zone, 'TICK', data)));

test.each(versions)('the built client works in Node $version over all transports, and through a cut network and a restart', async ({ version, node }) => {
  expect(existsSync(node), `${node} is not there: run "npm ci" in test/node-versions`).toBe(true);
  const network = await Network.to(server.port, () => 'pass');
  onTestFinished(() => network.remove());
  const [told] = (await once(spawn(node, ['--version'], { stdio: ['ignore', 'pipe', 'inherit'] }).stdout, 'data')) as [Buffer];
  expect(String(told)).toMatch(RegExp(`^${version}\\b`));

  const { program, says, ended } = run(node, network.url);
  await says('connected', 'published');
  network.rule(() => 'cut');
  await publish('missed');
  network.rule(() => 'pass');
  await says('connected', 'published', 'missed');

  await server.stop('SIGTERM');
  server = await RealServer.start(server.port);
  await says('connected', 'published', 'missed', 'gap'); // the history was in its memory
  await publish('after');
  await says('connected', 'published', 'missed', 'gap', 'after');
  program.stdin.end();
  await expect(ended).resolves.toEqual([0, null]);
});
