// The TypeScript client, as it is built, in a real browser and in Node, through a real nginx that stands in its way.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, copyFile, cp, mkdtemp, rm, symlink, mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { assertText, openBrowser } from './browser.js';
import { Nginx } from './nginx.js';
import { Server } from './server.js';
import { Wire } from './wire.js';

const client = fileURLToPath(new URL('../client/', import.meta.url));

let browser;
let server;
/** What nginx serves beside the server: the built client, and the examples. */
let site;

before(async () => {
  server = await Server.start();
  browser = await openBrowser();
  site = await mkdtemp(join(tmpdir(), 'zonecast-site-'));
  await chmod(site, 0o755); // nginx reads it as another user
  await cp(join(client, 'examples'), site, { recursive: true });
  await copyFile(join(client, 'dist/esm/index.js'), join(site, 'client.js'));
  await writeFile(join(site, 'empty.html'), '<!doctype html><title>A page of the tests</title>');
});

after(async () => {
  await browser?.close();
  await server?.kill();
  if (site) await rm(site, { recursive: true, force: true });
});

// A location with headers of its own inherits none; without Host the server would take the page for one of another host.
const upgrade = 'proxy_set_header Host $http_host; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;';
const location = (path, rules) => `location ${path} { ${rules} proxy_pass ${server.url}; }`;
const pages = () => `location /site/ { alias ${site}/; }`;

/** An nginx with these locations, which ends with the test. */
async function proxy(t, locations) {
  const nginx = await Nginx.start(locations);
  t.after(() => nginx.stop());
  return nginx;
}

/** A wire to a proxy that lets everything through; both end with the test. */
async function wireTo(t) {
  const wire = await Wire.to((await proxy(t, open())).port);
  t.after(() => wire.remove());
  return wire;
}

/** What lets everything through. */
const open = () => [location('/ws', `${upgrade} proxy_buffering off;`), location('/', 'proxy_buffering off;'), pages()].join('\n');

/** Opens a page with a client in it, which notes what it receives. Without complaints: a network that breaks is one to a browser. */
async function watch(url, zone, options = {}) {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${url}/site/empty.html`);
  const failures = [];
  page.on('pageerror', (error) => failures.push(String(error)));
  await page.evaluate(
    async ([zone, { transports, ...options }]) => {
      const zonecast = await import('./client.js');
      globalThis.heard = [];
      globalThis.used = new Set();
      globalThis.client = zonecast.createWebSocketClient({
        url: location.origin,
        warehouse: 'w',
        zone,
        maxAttempts: Infinity,
        ...(transports && { transports: transports.map((name) => zonecast[name]) }),
        ...options,
      });
      client.on('TICK', (n) => heard.push(n));
      client.on('gap', (gap) => heard.push(gap));
      client.onState((state) => state.transport && used.add(state.transport));
      await client.connect();
    },
    [zone, options],
  );
  return {
    page,
    heard: () => page.evaluate(() => heard),
    used: () => page.evaluate(() => [...used]),
    async close() {
      assert.deepEqual(failures, [], 'something was thrown, or a rejection was not handled');
      await context.close();
    },
  };
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Publishes 0, 1, 2 … to the zone until `until` is settled, then waits until the page has heard all of them, in order and once. */
async function assertAllHeard(watched, zone, until) {
  let over = false;
  const done = until.finally(() => (over = true));
  let sent = 0;
  for (; !over; sent++) {
    await server.publish('w', zone, { event: 'TICK', data: sent });
    await pause(20);
  }
  await done;
  const want = Array.from({ length: sent }, (_, n) => n);
  for (const deadline = Date.now() + 30_000; (await watched.heard()).length < sent && Date.now() < deadline; )
    await pause(100);
  assert.deepEqual(await watched.heard(), want);
}

test('through a proxy that refuses WebSocket upgrades everything arrives by long polling', async (t) => {
  const refusing = [location('/', 'proxy_buffering off;'), 'location /ws { return 403; }', pages()].join('\n');
  const nginx = await proxy(t, refusing);
  const watched = await watch(nginx.url, 'refused');
  await assertAllHeard(watched, 'refused', pause(3_000));
  assert.deepEqual(await watched.used(), ['poll']);

  const message = { warehouse: 'w', zone: 'refused', event: 'DONE', data: 1 };
  const { offset } = await watched.page.evaluate((message) => client.publish(message), message);
  assert.match(offset, /-\d+$/);
  await watched.close();
});

test('through a proxy that buffers, streams are noticed not to deliver and long polling takes over', async (t) => {
  // It collects answers, whatever the server asks for, and strips the upgrade as proxies without WebSocket do.
  const buffering = 'proxy_buffering on; proxy_ignore_headers X-Accel-Buffering; proxy_buffers 8 64k; proxy_buffer_size 64k; gzip on; gzip_types *; gzip_proxied any;';
  const nginx = await proxy(t, [location('/', buffering), pages()].join('\n'));
  const options = { transports: ['serverSentEvents', 'webSocket', 'longPolling'], connectTimeout: 2_000 };
  const watched = await watch(nginx.url, 'buffered', options);
  await assertAllHeard(watched, 'buffered', pause(3_000));
  assert.ok((await watched.used()).length === 1, `more than one transport delivered: ${await watched.used()}`);
  await watched.close();
});

for (const transports of [['webSocket'], ['longPolling'], ['serverSentEvents']])
  test(`connections that are reset every two seconds lose nothing over ${transports}`, async (t) => {
    const wire = await wireTo(t);
    const watched = await watch(wire.url, `reset-${transports}`, { transports });
    const resets = setInterval(() => wire.reset(), 2_000);
    await assertAllHeard(watched, `reset-${transports}`, pause(9_000).finally(() => clearInterval(resets)));
    await watched.close();
  });

test('two seconds without a network every fifteen lose nothing', async (t) => {
  const wire = await wireTo(t);
  const watched = await watch(wire.url, 'away');
  const away = async () => {
    for (let n = 0; n < 2; n++) {
      await pause(13_000);
      await wire.goAway(2_000);
    }
    await pause(3_000);
  };
  await assertAllHeard(watched, 'away', away());
  await watched.close();
});

test('a page that is loaded again goes on where it was', async (t) => {
  const nginx = await proxy(t, open());
  const watched = await watch(nginx.url, 'again', { keepOffsets: true });
  await assertAllHeard(watched, 'again', pause(300));
  await watched.page.goto('about:blank');
  await server.publish('w', 'again', { event: 'TICK', data: 'while nobody looked' });
  await watched.page.goto(`${nginx.url}/site/empty.html`);
  const heard = await watched.page.evaluate(async () => {
    const { createWebSocketClient } = await import('./client.js');
    const client = createWebSocketClient({ url: location.origin, warehouse: 'w', zone: 'again', keepOffsets: true });
    const first = new Promise((resolve) => client.once('TICK', resolve));
    await client.connect();
    return first;
  });
  assert.equal(heard, 'while nobody looked');
  await watched.close();
});

test('the example without a build step shows a zone', async (t) => {
  const nginx = await proxy(t, open());
  const page = await browser.newPage();
  await page.goto(`${nginx.url}/site/html/index.html?zone=example`);
  await assertText(page, '#state', 'connected by websocket');
  const alert = { id: 'a "1"', severity: 'critical', title: 'Conveyor <3> stopped', detail: '', raisedAt: 0 };
  await server.publish('warehouse-1', 'example', { event: 'ZONE_UPDATE', data: { pickRate: 1402 } });
  await server.publish('warehouse-1', 'example', { event: 'ALERT', data: alert });
  await assertText(page, '#rate', '1402');
  await assertText(page, '#alerts', 'Conveyor <3> stopped');
  await server.publish('warehouse-1', 'example', { event: 'ALERT', data: { ...alert, clearedAt: 1 } });
  await assertText(page, '#alerts', '');
  await page.close();
});

test('the example in React joins rooms while it shows them, and renders what comes', async (t) => {
  await bundleReact();
  const nginx = await proxy(t, open());
  const page = await browser.newPage();
  const failures = [];
  page.on('pageerror', (error) => failures.push(String(error)));
  await server.publish('warehouse-1', 'zone-b', { event: 'SHIFT_SNAPSHOT', data: { pickRate: 7 }, retain: true });
  await page.goto(`${nginx.url}/site/react/index.html`);
  await assertText(page, '#state', 'connected by websocket');
  await assertText(page, '#zone-a[data-joined=true]', 'zone-a: – units per hour');
  await assertText(page, '#zone-b[data-joined=true]', 'zone-b: 7 units per hour');
  for (const pickRate of [1, 2, 3]) await server.publish('warehouse-1', 'zone-a', { event: 'ZONE_UPDATE', data: { pickRate } });
  await assertText(page, '#zone-a', 'zone-a: 3 units per hour');
  assert.deepEqual(await page.evaluate(() => client.rooms), ['zone:warehouse-1:zone-a', 'zone:warehouse-1:zone-b']);
  await page.click('button');
  await page.waitForFunction(() => client.rooms.length === 1);
  await page.evaluate(() => client.disconnect());
  await assertText(page, '#state', 'closed');
  await page.evaluate(() => client.connect());
  await assertText(page, '#zone-a[data-joined=true]', 'zone-a: 3 units per hour');
  assert.deepEqual(failures, []);
  await page.close();
});

/** Bundles the React example with what the client's own package has installed. */
async function bundleReact() {
  const modules = join(site, 'node_modules');
  await mkdir(join(modules, '@zonecast'), { recursive: true });
  await symlink(client, join(modules, '@zonecast/client'));
  for (const name of ['react', 'react-dom', 'scheduler']) await symlink(join(client, 'node_modules', name), join(modules, name));
  const { build } = createRequire(join(client, 'package.json'))('esbuild');
  await build({
    absWorkingDir: site,
    entryPoints: ['react/main.jsx'],
    outfile: join(site, 'react/main.js'),
    bundle: true,
    format: 'esm',
    jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"production"' },
    logLevel: 'warning',
  });
}

// Each in a zone of its own: an alert stays open, and whoever comes later gets it, too.
for (const [what, zone, locations] of [
  ['a proxy that lets everything through', 'node', () => open()],
  ['a proxy that refuses WebSocket upgrades', 'node-refused', () => [location('/', ''), 'location /ws { return 403; }'].join('\n')],
])
  test(`the example in Node works through ${what}, and ends by itself`, async (t) => {
    const nginx = await proxy(t, locations());
    const program = join(client, 'examples/node/watch.mjs');
    const node = spawn(process.execPath, [program, nginx.url, 'warehouse-1', zone], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    node.stdout.on('data', (chunk) => (output += chunk));
    const [code] = await once(node, 'close');
    assert.equal(output, `state connecting\nstate connected\nalert zone:warehouse-1:${zone} Somebody watches\nstate closed\n`);
    assert.equal(code, 0);
  });
