// A wall that nobody tends: it survives a server that is away, is dark at night, and fills its screen.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertRoot, assertText, openBrowser, openPage, picture } from './browser.js';
import { Server } from './server.js';

/** Pages of these options have their service worker. */
const worker = { serviceWorkers: 'allow' };

let browser;
let server;

before(async () => {
  server = await Server.start();
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  await server?.kill();
});

for (const path of ['/screen/warehouse-1/zone-a', '/screen/warehouse-1'])
  test(`${path}: a reload survives a server that is away`, async () => {
    const page = await openPage(browser, server.url + path, worker);
    await page.evaluate(() => navigator.serviceWorker.ready);
    await page.reload(); // through the worker, which keeps it
    await assertRoot(page, 'data-state', 'waiting');
    const { address } = server;
    await server.kill();
    await page.reload();
    await assertText(page, '#status-headline', 'Connecting');
    await picture(page, 'screen-away');
    server = await Server.start(address);
    await assertRoot(page, 'data-state', 'waiting', 45_000);
    const kept = await page.evaluate(async () => (await (await caches.open('zonecast-screens')).keys()).map(({ url }) => new URL(url).pathname + new URL(url).search));
    assert.ok(kept.includes(path) && !kept.some((url) => url.includes('?')), kept.join());
    await page.context().close();
  });

test('a screen that was never loaded shows a page that tries again, also from the worker', async () => {
  const page = await openPage(browser, `${server.url}/screen/warehouse-1/zone-a`, worker);
  await page.evaluate(() => navigator.serviceWorker.ready);
  await page.reload();
  const { address } = server;
  await server.kill();
  await page.goto(`${server.url}/screen/warehouse-1/zone-other`);
  await assertText(page, 'h1', 'No server answers');
  server = await Server.start(address);
  await assertText(page, '#status-headline', 'Connected', 30_000);
  await page.context().close();
});

test('at night it is darker, unless an alert is critical', async () => {
  const hour = (add) => new Date(Date.now() + add * 3_600_000).toISOString().slice(11, 16);
  const page = await openPage(browser, `${server.url}/screen/warehouse-1/zone-night?tz=UTC&night=${hour(-1)}-${hour(1)}&dim=0.3`);
  const filter = () => page.evaluate(() => getComputedStyle(document.body).filter);
  await assertRoot(page, 'data-night', '');
  assert.equal(await filter(), 'brightness(0.3)');
  await server.publish('warehouse-1', 'zone-night', { event: 'ALERT', data: { id: 'FIRE', severity: 'critical' } });
  await assertRoot(page, 'data-critical', '');
  assert.equal(await filter(), 'none');
  await page.context().close();
});

test('F fills the screen', async () => {
  const page = await openPage(browser, `${server.url}/screen/warehouse-1/zone-a`);
  await assertRoot(page, 'data-state', 'waiting');
  await page.keyboard.press('f');
  await page.waitForFunction(() => document.fullscreenElement !== null);
  await page.keyboard.press('f');
  await page.waitForFunction(() => document.fullscreenElement === null);
  await page.context().close();
});
