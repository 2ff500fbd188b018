// The outbox in a real browser: its IndexedDB, its Web Locks, its reloads.
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
  // Else 1,000 publications take two minutes.
  server = await Server.start(undefined, { RATE_LIMIT_TOKENS: '100000', RATE_LIMIT_REFILL: '100000' });
  browser = await openBrowser();
  site = await mkdtemp(join(tmpdir(), 'zonecast-site-'));
  await chmod(site, 0o755); // nginx reads it as another user
  await cp(built, site, { recursive: true });
  const imports = JSON.stringify({ imports: { '@zonecast/client': './index.js' } });
  await writeFile(join(site, 'handheld.html'), `<!doctype html><title>A handheld</title><script type="importmap">${imports}</script>`);
});

after(async () => {
  await browser?.close();
  await server?.kill();
  if (site) await rm(site, { recursive: true, force: true });
});

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const numbers = (count) => Array.from({ length: count }, (_, n) => n);

async function until(what, isSo) {
  for (const deadline = Date.now() + 90_000; !(await isSo()); await pause(50)) assert.ok(Date.now() < deadline, what);
}

/** Makes the client and its outbox in a page that was just loaded. */
const begin = (page) =>
  page.evaluate(async () => {
    const [{ createWebSocketClient }, { createOutbox }] = await Promise.all([import('@zonecast/client'), import('./offline.js')]);
    globalThis.client = createWebSocketClient({ url: location.origin, backoffBase: 50 });
    globalThis.outbox = createOutbox(client);
    globalThis.scan = (n) => outbox.publish({ warehouse: 'w', zone: 'dock', event: 'SCAN', data: n });
  });

const connect = (page) => page.evaluate(() => void client.connect());
const pending = (page) => page.evaluate(() => outbox.pending);

async function openHandheld(context, url) {
  const page = await context.newPage();
  page.failures = [];
  page.on('pageerror', (error) => page.failures.push(String(error)));
  await page.goto(`${url}/site/handheld.html`);
  await begin(page);
  return page;
}

/** A page that hears what the server publishes. */
async function openListener(url) {
  const page = await (await browser.newContext()).newPage();
  await page.goto(`${url}/site/handheld.html`);
  await page.evaluate(async () => {
    const { createWebSocketClient } = await import('@zonecast/client');
    globalThis.heard = [];
    const client = createWebSocketClient({ url: location.origin });
    client.on('SCAN', (data) => heard.push(data));
    client.on('gap', () => heard.push('gap'));
    await client.connect();
    await client.subscribe('w', 'dock');
  });
  return { page, count: () => page.evaluate(() => heard.length), heard: () => page.evaluate(() => heard) };
}

async function openSite(t) {
  const upgrade = 'proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;';
  const locations = [`location / { proxy_set_header Host $http_host; ${upgrade} proxy_pass ${server.url}; }`];
  const nginx = await Nginx.start([...locations, `location /site/ { alias ${site}/; }`].join('\n'));
  t.after(() => nginx.stop());
  return nginx.url;
}

test('1,000 scans made offline survive reloads and arrive once, in order', async (t) => {
  const url = await openSite(t);
  const listener = await openListener(url);
  const context = await browser.newContext();
  let page = await openHandheld(context, url);
  await page.evaluate(() => Promise.all(Array.from({ length: 1000 }, (_, n) => scan(n))));
  assert.equal(await pending(page), 1000);

  // A reload before anything was sent, one in the middle, and a crash of the tab.
  await page.reload();
  await begin(page);
  await until('the page sees what it kept', async () => (await pending(page)) === 1000);
  await connect(page);
  await until('it sends', async () => (await listener.count()) >= 200);
  await page.reload();
  await begin(page);
  await connect(page);
  await until('it goes on', async () => (await listener.count()) >= 400);
  await page.close({ runBeforeUnload: false });
  page = await openHandheld(context, url);
  await connect(page);
  await until('it goes on', async () => (await listener.count()) >= 600);
  await context.setOffline(true);
  await page.evaluate(() => scan(1000));
  await context.setOffline(false);
  await until('everything is sent', async () => (await pending(page)) === 0);
  await until('everything is heard', async () => (await listener.count()) >= 1001);
  assert.deepEqual(await listener.heard(), numbers(1001));
  assert.deepEqual(page.failures, []);
  await context.close();
});

test('two tabs share one outbox: what both publish arrives once, and in the order in which it was kept', async (t) => {
  const url = await openSite(t);
  const listener = await openListener(url);
  const context = await browser.newContext();
  const tabs = await Promise.all([openHandheld(context, url), openHandheld(context, url)]);
  for (const n of numbers(20)) await tabs[n % 2].evaluate((n) => scan(n), n);
  await Promise.all(tabs.map(connect));
  for (const n of numbers(20)) await tabs[n % 2].evaluate((n) => scan(20 + n), n);
  await until('everything is heard', async () => (await listener.count()) >= 40);
  for (const tab of tabs) await until('both tabs see that it is empty', async () => (await pending(tab)) === 0);
  assert.deepEqual(await listener.heard(), numbers(40));
  await context.close();
});
