import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { WebSocket } from 'ws';
import { assertAccessible, assertRoot, assertText, closeCalm, openBrowser, openPage, picture } from './browser.js';
import { Redis } from './redis.js';
import { Server } from './server.js';

let browser;
let server;
const sockets = [];

before(async () => {
  server = await Server.start();
  browser = await openBrowser();
});

after(async () => {
  for (const socket of sockets) socket.terminate();
  await browser?.close();
  await server?.kill();
});

/** Connects clients to a warehouse, or to a zone of it. */
async function connect(count, warehouse, zone) {
  for (let n = 0; n < count; n++) {
    const query = new URLSearchParams({ warehouse, ...(zone && { zone }) });
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/ws?${query}`);
    socket.on('error', () => {});
    sockets.push(socket);
    await once(socket, 'message');
  }
}

const number = (text) => Number(text.replace(/[^\d.]/g, ''));
const figure = async (page, tile) => number((await page.locator(`#totals .tile:nth-child(${tile}) .value`).textContent()) ?? '');

test('an empty system says what to try', async () => {
  for (const colorScheme of ['light', 'dark']) {
    const page = await openPage(browser, `${server.url}/ui/`, { colorScheme, viewport: { width: 1440, height: 900 } });
    await assertText(page, '#link', 'live');
    await assertText(page, '#totals .tile:nth-child(1) .value', '0');
    await assertText(page, '#welcome h2', 'Everything is up. Nobody is connected yet.');
    assert.match(await page.locator('#welcome code').innerText(), new RegExp(`^curl ${server.url}/api/v1/`));
    await assertText(page, '#instances tbody th', 'e2e-node');
    await assertAccessible(page);
    await picture(page, `dashboard-empty-${colorScheme}`);
    await closeCalm(page);
  }
  await assertFitsAPhone('dashboard-empty-phone');
});

test('connections, messages and latency are counted live', async () => {
  const page = await openPage(browser, `${server.url}/ui/`);
  await assertText(page, '#link', 'live');
  await connect(3, 'warehouse-1', 'zone-a');
  await connect(2, 'warehouse-1', 'zone-b');
  await connect(1, 'warehouse-2');
  await assertText(page, '#totals .tile:nth-child(1) .value', '6');
  await assertText(page, '#warehouses tbody tr:nth-child(1) .number', '5');
  await assertText(page, '#warehouses tbody tr:nth-child(2) .number', '1');
  await assertText(page, '#zones tbody tr:nth-child(1)', /^zone-a ?warehouse-1 ?3/);
  await assertText(page, '#zones tbody tr:nth-child(2)', /^zone-b ?warehouse-1 ?2/);

  for (let n = 0; n < 60; n++) {
    await server.publish('warehouse-1', 'zone-a', { event: 'ZONE_UPDATE', data: { now: Date.now(), pickRate: 1400 } });
    await page.waitForTimeout(50);
  }
  await assertText(page, '#totals .tile:nth-child(3) .note', /3\.0 clients per message/);
  const [published, delivered] = [await figure(page, 2), await figure(page, 3)];
  assert.ok(published > 0 && published < 30, `${published} messages published per second`);
  assert.ok(Math.abs(delivered / published - 3) < 0.2, `${delivered} delivered of ${published} published per second`);
  await assertText(page, '#totals .percentiles', /p50 ?[\d.]+ ?ms.*p99 ?[\d.]+ ?ms/);
  assert.equal(await page.locator('#zones tbody a', { hasText: 'open' }).first().getAttribute('href'), '/screen/warehouse-1/zone-a');
  await assertAccessible(page);
  await picture(page, 'dashboard-busy');
  await closeCalm(page);
});

test('the filter finds zones while the page goes on', async () => {
  const page = await openPage(browser, `${server.url}/ui/`);
  await assertText(page, '#link', 'live');
  await page.keyboard.press('Tab');
  await page.locator('#filter').focus();
  await page.keyboard.type('zone-b', { delay: 120 });
  await assertText(page, '#zones .more', '1 of 2 zones match');
  assert.equal(await page.locator('#zones tbody tr').count(), 1);
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'filter');
  assert.equal(await page.locator('#filter').inputValue(), 'zone-b');
  await page.waitForURL(/filter=zone-b/);
  await page.waitForTimeout(2_500); // two more pictures: the filter must outlast them
  assert.equal(await page.locator('#zones tbody tr').count(), 1);
  await page.locator('#filter').fill('');
  await assertText(page, '#zones .more', '2 zones');
  await assertText(page, '#link', 'live');
  await closeCalm(page);
});

test('on a phone nothing is wider than the window', async () => {
  await assertFitsAPhone('dashboard-phone');
});

async function assertFitsAPhone(name) {
  const page = await openPage(browser, `${server.url}/ui/`, { viewport: { width: 390, height: 844 } });
  await assertText(page, '#link', 'live');
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(overflow <= 0, `${overflow} pixels too wide`);
  await assertAccessible(page);
  await picture(page, name);
  await closeCalm(page);
}

test('instances that share a Redis are one picture, and it says what is away', async () => {
  const redis = await Redis.start();
  const instances = await Server.startPair(redis.url);
  try {
    const page = await openPage(browser, `${instances[0].url}/ui/`);
    await assertText(page, '#instances tbody tr:nth-child(1)', /^backend-1.*ready ?redis/);
    await assertText(page, '#instances tbody tr:nth-child(2)', /^backend-2.*ready ?redis/);
    await assertText(page, '#instances .count', '2');
    await assertText(page, '#notices', '');

    redis.freeze();
    await assertText(page, '#notices .critical', /^The broker \(redis\) can't be reached: clients stay connected/);
    await assertText(page, '#link', 'live');
    await assertAccessible(page);
    await picture(page, 'dashboard-no-redis');
    redis.thaw();
    await assertText(page, '#notices', '', 30_000);
    await assertText(page, '#instances .count', '2');

    await instances[1].kill();
    await assertText(page, '#notices .warning', /^1 of 2 instances answered\. The figures lack what backend-2 holds\.$/);
    await assertText(page, '#instances tbody tr:nth-child(2)', /^backend-2 ?no answer since .*, held 0 clients/);
    await closeCalm(page);
  } finally {
    for (const instance of instances) await instance.kill();
    await redis.stop();
  }
});

test('a server that hangs is as lost as one that is gone', async () => {
  const page = await openPage(browser, `${server.url}/ui/`);
  await assertText(page, '#link', 'live');
  server.freeze();
  try {
    await assertText(page, '#link', 'lost');
  } finally {
    server.thaw();
  }
  await assertText(page, '#link', 'live', 30_000);
  await closeCalm(page);
});

test('a lost server is said so, and found again', async () => {
  const page = await openPage(browser, `${server.url}/ui/`);
  await assertText(page, '#link', 'live');
  const { address } = server;
  await server.kill();
  await assertText(page, '#link', 'lost');
  await assertText(page, '#lost', /^Connection to the server lost since \d\d:\d\d:\d\d\. /);
  assert.equal(await page.title(), 'Connection lost – Zonecast');
  const color = (selector) => page.locator(selector).first().evaluate((element) => getComputedStyle(element).color);
  assert.notEqual(await color('.value'), await color('.brand'), 'the figures look as if they were live');
  await assertAccessible(page);
  await picture(page, 'dashboard-lost');

  server = await Server.start(address);
  await assertText(page, '#link', 'live', 30_000);
  assert.equal(await page.locator('#lost').isVisible(), false);
  assert.equal(await page.title(), 'Zonecast');
  await assertText(page, '#totals .tile:nth-child(1) .value', '0');
  page.complaints = []; // the browser complained of the server that was away
  await assertText(page, '#link', 'live');
  await closeCalm(page);
});
