// What a wall may never say: each of these was once shown in large letters, and false.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertAccessible, assertRoot, assertText, closeCalm, openBrowser, openPage, picture } from './browser.js';
import { Server } from './server.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

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

const open = (zone, options, query = '') => openPage(browser, `${server.url}/screen/warehouse-1/${zone}${query}`, options);

const shift = (changes = {}) => ({
  event: 'SHIFT_SNAPSHOT',
  retain: true,
  data: { startsAt: Date.now() - 4 * HOUR, endsAt: Date.now() + 4 * HOUR, unitsPerHourTarget: 1450, unitsTarget: 11600, unitsDone: 5900,
    pickRate: 1460, ordersOpen: 87, workers: 12, name: 'Ambient picking', alerts: [], ...changes },
});

const alert = (id, severity, minutesAgo, changes = {}) => ({ id, severity, title: id, detail: '', raisedAt: Date.now() - minutesAgo * MINUTE, ...changes });

/** Fails if a number or a word of an alert is cut off anywhere in the page. */
async function assertWhole(page) {
  const cut = await page.evaluate(() =>
    [...document.querySelectorAll('#rate, #done, #orders, #workers, .board > section, .alert .title, .alert .detail, #plan, #hours')]
      .filter((element) => element.clientWidth > 0 && (element.scrollWidth > element.clientWidth + 1 ||
        (element.matches('.alert *, .board > section') && element.scrollHeight > element.clientHeight + 2)))
      .map((element) => `#${element.id}.${element.className} "${element.textContent}": ${element.scrollWidth}×${element.scrollHeight} in ${element.clientWidth}×${element.clientHeight}`),
  );
  assert.deepEqual(cut, []);
}

test('a critical alert is never hidden by newer ones, and all others come round', async () => {
  const page = await open('zone-fire');
  const alerts = [alert('FIRE in hall 3: leave the building', 'critical', 30, { detail: 'Exits A and C' }),
    ...Array.from({ length: 12 }, (_, i) => alert(`Printer ${i} is out of paper`, 'warning', i))];
  await server.publish('warehouse-1', 'zone-fire', shift({ alerts }));
  await assertText(page, '#alerts-more', /^13 alerts open, 1 critical · \d\/4$/);
  const seen = new Set();
  for (const deadline = Date.now() + 60_000; seen.size < alerts.length && Date.now() < deadline; await page.waitForTimeout(500)) {
    const titles = await page.locator('#alerts .title').allTextContents();
    assert.equal(titles[0], 'FIRE in hall 3: leave the building');
    for (const title of titles) seen.add(title);
  }
  assert.equal(seen.size, alerts.length, `shown in turns: ${[...seen]}`);
  await assertWhole(page);
  assert.ok(await page.evaluate(() => document.documentElement.scrollHeight <= innerHeight), 'a wall has to be scrolled');
  await assertAccessible(page);
  await picture(page, 'screen-many-alerts');
  assert.match(await page.title(), /^⚠ 1 Critical · Ambient picking$/);
  await closeCalm(page);
});

test('no digit is ever cut, whatever the number and the size of the screen', async () => {
  for (const [size, width, height] of [['wall', 1920, 1080], ['upright', 1080, 1920], ['phone', 390, 844], ['small', 800, 480], ['zoomed', 480, 270]]) {
    const page = await open('zone-large', { viewport: { width, height } });
    for (const [ordersOpen, unitsDone] of [[1234, 11_600], [123_456, 1_234_567], [987_654_321, 123_456_789_012]]) {
      await server.publish('warehouse-1', 'zone-large', shift({ ordersOpen, unitsDone, pickRate: unitsDone, workers: ordersOpen,
        alerts: [alert('Conveyor 3 stopped', 'critical', 5, { detail: 'Station 14' }), alert('Kommissioniererarbeitsplatzüberwachung unvollständig', 'critical', 4)] }));
      await page.waitForTimeout(300);
      await assertWhole(page);
    }
    await picture(page, `screen-large-${size}`);
    await closeCalm(page);
  }
});

test('what is more than all is shown as more than all', async () => {
  const page = await open('zone-over');
  await server.publish('warehouse-1', 'zone-over', shift({ unitsDone: 14_036 }));
  await assertText(page, '#units-share', '121 %');
  assert.equal(await page.locator('#units-mark').getAttribute('x'), '826');
  await closeCalm(page);
});

test('the plan goes by the clock, also when updates have no time of their own', async () => {
  const page = await open('zone-clock');
  await server.publish('warehouse-1', 'zone-clock', shift({ startsAt: Date.now() - 6 * HOUR, endsAt: Date.now() + 2 * HOUR, now: undefined }));
  await server.publish('warehouse-1', 'zone-clock', { event: 'ZONE_UPDATE', data: { unitsDone: 6150 } });
  await assertText(page, '#plan', '▼ −2,550 units behind plan');
  assert.equal(await page.locator('#plan').getAttribute('data-level'), 'bad');
  await server.publish('warehouse-1', 'zone-clock', shift({ startsAt: Date.now() - 9 * HOUR, endsAt: Date.now() - HOUR, unitsDone: 11_000 }));
  await assertText(page, '#plan', 'Shift over: 11,000 of 11,600 (95 %)');
  await picture(page, 'screen-over');
  await closeCalm(page);
});

test('alerts that may be wrong are marked, each room for itself', async () => {
  const page = await open('zone-doubt');
  await server.publish('warehouse-1', 'zone-doubt', shift());
  await server.publish('warehouse-1', undefined, { event: 'ALERT', data: alert('Gate 4 is blocked', 'warning', 90) });
  await assertText(page, '#alerts .since', 'for 1 h');
  const { address } = server;
  await server.kill(); // its history goes with it
  await assertRoot(page, 'data-state', 'lost');
  assert.match(await page.title(), /^Connection lost · Ambient picking$/);
  server = await Server.start(address);
  await page.locator('html:not([data-state="lost"])').waitFor({ state: 'attached', timeout: 45_000 });
  await assertText(page, '#alerts-doubt', /^Messages were missed/);
  await server.publish('warehouse-1', 'zone-doubt', shift());
  await assertRoot(page, 'data-state', 'live');
  await assertText(page, '#alerts-doubt', /^Messages were missed: an alert of the whole building/);
  await assertAccessible(page);
  await picture(page, 'screen-doubt');
  await server.publish('warehouse-1', undefined, { event: 'SHIFT_SNAPSHOT', data: { alerts: [] } });
  await page.locator('#alerts-panel').waitFor({ state: 'hidden' });
  await page.context().close();
});

test('a screen speaks German, in the time zone of its warehouse, in the theme of its hall', async () => {
  const page = await open('zone-de', { colorScheme: 'light' }, '?lang=de&tz=Asia/Tokyo&theme=dark');
  await server.publish('warehouse-1', 'zone-de', shift());
  await assertText(page, '#rate', '1.460');
  await assertText(page, '#orders-title', 'Offene Aufträge');
  await assertText(page, '#clock', new Intl.DateTimeFormat('de', { timeZone: 'Asia/Tokyo', hour: '2-digit', minute: '2-digit' }).format(Date.now()));
  assert.equal(await page.locator('html').getAttribute('lang'), 'de');
  assert.equal(await page.evaluate(() => getComputedStyle(document.documentElement).getPropertyValue('--ground').trim()), '#0c1013');
  await assertAccessible(page);
  await picture(page, 'screen-german');
  await closeCalm(page);
});
