// One connection for all tabs, in a real browser: its Web Locks, its BroadcastChannel, its six connections to a host.
import assert from 'node:assert/strict';
import { chmod, cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openBrowser } from './browser.js';
import { Nginx } from './nginx.js';
import { Server } from './server.js';

const built = fileURLToPath(new URL('../client/dist/esm/', import.meta.url));

let browser;
let server;
let site;

before(async () => {
  server = await Server.start();
  browser = await openBrowser();
  site = await mkdtemp(join(tmpdir(), 'zonecast-site-'));
  await chmod(site, 0o755); // nginx reads it as another user
  await cp(built, site, { recursive: true });
  const imports = JSON.stringify({ imports: { '@zonecast/client': './index.js' } });
  await writeFile(join(site, 'tab.html'), `<!doctype html><title>A tab</title><script type="importmap">${imports}</script>`);
});

after(async () => {
  await browser?.close();
  await server?.kill();
  if (site) await rm(site, { recursive: true, force: true });
});

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(what, isSo) {
  for (const deadline = Date.now() + 30_000; !(await isSo()); await pause(50)) assert.ok(Date.now() < deadline, what);
}

/** A tab with a shared client over long polling, which notes what it hears. */
async function openTab(context, url) {
  const page = await context.newPage();
  const failures = [];
  page.on('pageerror', (error) => failures.push(String(error)));
  await page.goto(url);
  const connected = page.evaluate(async () => {
    const [{ longPolling }, { createSharedClient }] = await Promise.all([import('@zonecast/client'), import('./tabs.js')]);
    const options = { url: location.origin, warehouse: 'w', zone: 'tabs', transports: [longPolling] };
    globalThis.heard = [];
    globalThis.client = createSharedClient(options);
    client.on('TICK', (data) => heard.push(data));
    client.on('gap', () => heard.push('gap'));
    await client.connect();
    await Promise.all([client.subscribe('w'), client.subscribe('w', 'tabs')]);
  });
  return { page, failures, connected, heard: () => page.evaluate(() => heard) };
}

/** The tab whose client holds the connection, by the lock that the others wait for. */
async function leaderOf(tabs) {
  const [{ page }] = tabs;
  const holder = await page.evaluate(async () => {
    const { held } = await navigator.locks.query();
    return held.find(({ name }) => name === `zonecast ${location.origin} `)?.clientId;
  });
  for (const tab of tabs) {
    const isLeader = await tab.page.evaluate(async (holder) => {
      // A lock of the tab's own tells its id.
      const name = `who ${Math.random()}`;
      return navigator.locks.request(name, async () => {
        const { held } = await navigator.locks.query();
        return held.find((lock) => lock.name === name).clientId === holder;
      });
    }, holder);
    if (isLeader) return tab;
  }
  return undefined;
}

test('seven tabs over HTTP/1.1 long polling hear everything, also when the leading tab is closed', async (t) => {
  const locations = ['location / { proxy_buffering off;', `proxy_set_header Host $http_host; proxy_pass ${server.url}; }`];
  const nginx = await Nginx.start([...locations, `location /site/ { alias ${site}/; }`].join('\n'));
  t.after(() => nginx.stop());
  const context = await browser.newContext();
  let tabs = [];
  for (let n = 0; n < 7; n++) tabs.push(await openTab(context, `${nginx.url}/site/tab.html`));
  await Promise.all(tabs.map(({ connected }) => connected));

  let sent = 0;
  let isOver = false;
  const publishing = (async () => {
    for (; !isOver; await pause(20)) await server.publish('w', 'tabs', { event: 'TICK', data: sent++ });
  })();
  for (let closed = 0; closed < 2; closed++) {
    await pause(1000);
    const leader = await leaderOf(tabs);
    assert.ok(leader, 'no tab leads');
    tabs = tabs.filter((tab) => tab !== leader);
    await leader.page.close();
    await until('no other tab leads', () => leaderOf(tabs));
  }
  await pause(1000);
  isOver = true;
  await publishing;

  const want = Array.from({ length: sent }, (_, n) => n);
  for (const { heard, failures } of tabs) {
    await until('a tab did not hear everything', async () => (await heard()).length >= sent);
    assert.deepEqual(await heard(), want);
    assert.deepEqual(failures, []);
  }
  const asked = tabs.map(({ page }) => page.evaluate(() => performance.getEntriesByType('resource').some(({ name }) => name.includes('/poll'))));
  const leader = await leaderOf(tabs);
  assert.deepEqual(await Promise.all(asked), tabs.map((tab) => tab === leader), 'a tab that does not lead has a connection');
  await context.close();
});
