// The screen of a warehouse, its layouts, and the list of all screens.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertAccessible, assertRoot, assertText, closeCalm, openBrowser, openPage, picture } from './browser.js';
import { Server } from './server.js';

const HOUR = 3_600_000;

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

const shift = (changes = {}) => ({
  event: 'SHIFT_SNAPSHOT',
  retain: true,
  data: { startsAt: Date.now() - 4 * HOUR, endsAt: Date.now() + 4 * HOUR, unitsPerHourTarget: 1450, unitsTarget: 11600, unitsDone: 5900,
    pickRate: 1460, ordersOpen: 87, workers: 12, alerts: [], ...changes },
});

const layout = (walls) => ({ event: 'LAYOUT', retain: true, data: { walls } });

test('the list of screens finds one zone of a thousand, by the keyboard', async () => {
  const messages = Array.from({ length: 1000 }, (_, i) => ({ warehouse: 'large', zone: `aisle-${String(i).padStart(3, '0')}`, event: 'ZONE_UPDATE', data: { workers: 1 } }));
  for (let i = 0; i < messages.length; i += 50) {
    const answer = await fetch(`${server.url}/api/v1/broadcast`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ messages: messages.slice(i, i + 50) }) });
    assert.equal(answer.status, 200, await answer.text());
  }
  const page = await openPage(browser, `${server.url}/screen/`);
  await assertText(page, '#found', '1000');
  await page.keyboard.press('/');
  await page.keyboard.type('large 7');
  await page.keyboard.type('31');
  await assertText(page, '#found', '1 of 1000');
  assert.equal(await page.locator('#zones tbody tr:visible').count(), 1);
  await assertAccessible(page);
  await picture(page, 'screen-index-thousand');
  await page.keyboard.press('Enter'); // without a program it is a form
  await assertText(page, '#found', '1 of 1000');
  await page.locator('#zones tbody a').first().click();
  await assertText(page, '#rate', '–');
  assert.match(page.url(), /\/screen\/large\/aisle-731$/);
  await closeCalm(page);
});

test('a zone that nobody ever published to says so, and offers those with a similar name', async () => {
  for (const zone of ['zone-a', 'zone-b', 'cold-store']) await server.publish('typo', zone, shift());
  const page = await openPage(browser, `${server.url}/screen/typo/zone-aa?lang=en`, { viewport: { width: 1280, height: 720 } });
  await assertText(page, '#waiting-title', 'Nobody ever published to zone-aa');
  assert.deepEqual(await page.locator('#nearest a').allTextContents(), ['zone-a', 'zone-b', 'cold-store']);
  await assertAccessible(page);
  await picture(page, 'screen-never');
  await page.locator('#nearest a').first().click();
  await assertText(page, '#rate', '1,460');
  assert.match(page.url(), /\/zone-a\?lang=en$/);
  await closeCalm(page);
});

test('the screen of a warehouse shows all its zones to the shift lead', async () => {
  await server.publish('w-lead', undefined, layout({ main: [{ tiles: [{ kind: 'zones' }] }] }));
  await server.publish('w-lead', 'zone-a', shift({ name: 'Ambient picking', pickRate: 1390, unitsDone: 5233 }));
  await server.publish('w-lead', 'zone-b', shift({ name: 'Cold store', pickRate: 1500, unitsDone: 6000, alerts: [{ id: 'f', severity: 'critical', title: 'Door 3 is open', raisedAt: Date.now() - 600_000 }] }));
  await server.publish('w-lead', 'zone-c', { event: 'OTHER', data: {} });
  const page = await openPage(browser, `${server.url}/screen/w-lead`);
  await assertText(page, '#wall tbody tr:nth-child(1) th', 'Ambient picking');
  await assertText(page, '#wall tbody tr:nth-child(1) .rate', '1,390 ▼ 96 %');
  await assertText(page, '#wall tbody tr:nth-child(1) .plan', /^▼ −5\d\d$/);
  await assertText(page, '#wall tbody tr:nth-child(2) .rate', '1,500 ▲ 103 %');
  await assertText(page, '#wall tbody tr:nth-child(2) .alarm', '⚠ 1');
  await assertText(page, '#wall tbody tr:nth-child(3) th', 'zone-c');
  await assertText(page, '#wall tbody tr:nth-child(3) .age', 'no data yet');
  await assertText(page, '#alerts .title', 'Cold store: Door 3 is open');
  await assertRoot(page, 'data-state', 'live');
  await server.publish('w-lead', 'zone-a', { event: 'ZONE_UPDATE', data: { pickRate: 1450, ordersOpen: 80 } });
  await assertText(page, '#wall tbody tr:nth-child(1) .rate', '1,450 ▲ 100 %');
  assert.match(await page.title(), /^⚠ 1 Critical · w-lead$/);
  assert.match(await page.locator('link[rel=icon]').getAttribute('href'), /mark-alarm/);
  await assertAccessible(page);
  await picture(page, 'wall-zones');
  const { address } = server;
  await server.kill();
  await assertRoot(page, 'data-state', 'lost');
  assert.match(await page.locator('link[rel=icon]').getAttribute('href'), /mark-down/);
  const colours = await page.locator('#wall td').evaluateAll((cells) => [...new Set(cells.map((cell) => getComputedStyle(cell).color))]);
  assert.equal(colours.length, 1, `figures of a lost connection have the colours ${colours.join(' ')}`);
  await picture(page, 'wall-lost');
  server = await Server.start(address);
  await page.context().close();
});

test('the screen of a warehouse shows how long the alerts of the shift took', async () => {
  const tell = (event, data) => server.publish('w-history', 'zone-a', { event, data });
  await tell('ALERT', { id: 'jam', severity: 'critical', title: 'Conveyor 3 stopped', raisedAt: Date.now() - 30 * 60_000 });
  await tell('ALERT_ACKNOWLEDGED', { id: 'jam', by: 'Anna', at: Date.now() - 25 * 60_000 });
  await tell('ALERT', { id: 'jam', cleared: true });
  await tell('ALERT', { id: 'paper', severity: 'warning', title: 'Cartons run low', raisedAt: Date.now() - 10 * 60_000 });
  const page = await openPage(browser, `${server.url}/screen/w-history`);
  await assertText(page, '#wall-note', /^[12]\/2$/); // in turns with the zones
  await server.publish('w-history', undefined, layout({ main: [{ tiles: [{ kind: 'history' }] }] }));
  await page.locator('.history').waitFor();
  assert.deepEqual(await page.locator('.history tbody tr').evaluateAll((rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent).filter((_, i) => i !== 3).join(' | '))),
    ['Cartons run low | Warning | zone-a | – | open', 'Conveyor 3 stopped | Critical | zone-a | 5 min Anna | 30 min']);
  await assertAccessible(page);
  await picture(page, 'wall-history');
  await closeCalm(page);
});

test('a layout puts zones, numbers and lists on a wall, and takes effect at once', async () => {
  for (const [zone, name] of [['zone-a', 'Ambient picking'], ['zone-b', 'Cold store']]) await server.publish('w-layout', zone, shift({ name }));
  await server.publish('w-layout', 'cold-1', { event: 'CLIMATE', retain: true, data: { temperature: -12.4 } });
  await server.publish('w-layout', undefined, { event: 'DOCKS', retain: true, data: { free: 3, trucks: [{ name: 'Gate 1', value: 'DHL' }, { name: 'Gate 2', value: 'UPS' }, 'Gate 7'] } });
  const page = await openPage(browser, `${server.url}/screen/w-layout`);
  await page.locator('#wall table').waitFor();
  await server.publish('w-layout', undefined, layout({
    main: [{ tiles: [
      { kind: 'zone', zone: 'zone-a' }, { kind: 'zone', zone: 'zone-b' },
      { kind: 'number', title: 'Cold store', unit: '°C', zone: 'cold-1', event: 'CLIMATE', field: 'temperature', most: -18 },
      { kind: 'number', title: 'Docks free', event: 'DOCKS', field: 'free' },
      { kind: 'list', title: 'Trucks', event: 'DOCKS', field: 'trucks' },
      { kind: 'number', title: 'Never told', event: 'DOCKS', field: 'nothing' },
    ] }],
    dock: [{ seconds: 5, tiles: [{ kind: 'zone', zone: 'zone-a' }] }, { seconds: 5, tiles: [{ kind: 'zones' }] }],
  }));
  await assertText(page, '.tile:nth-child(1) h2', 'Ambient picking');
  await assertText(page, '.tile:nth-child(1) .figure', '1,460 ▲ 101 %');
  await assertText(page, '.tile:nth-child(3) .figure', '-12.4 °C');
  await assertText(page, '.tile:nth-child(3) .plan', 'too high');
  await assertText(page, '.tile:nth-child(4) .figure', '3');
  assert.deepEqual(await page.locator('.tile li').allTextContents(), ['Gate 1DHL', 'Gate 2UPS', 'Gate 7']);
  await assertText(page, '.tile:nth-child(6) .figure', '–');
  await assertAccessible(page);
  await picture(page, 'wall-layout');
  await closeCalm(page);

  const dock = await openPage(browser, `${server.url}/screen/w-layout?wall=dock`);
  await dock.locator('.tile.zone').waitFor();
  await dock.locator('.tile.zones').waitFor();
  await assertText(dock, '#wall-note', /^[12]\/2$/);
  await closeCalm(dock);
});

test('a layout that is none says where, and all zones are shown', async () => {
  await server.publish('w-bad', 'zone-a', shift({ name: 'Ambient picking' }));
  await server.publish('w-bad', undefined, layout({ main: [{ tiles: [{ kind: 'zone', zone: 'zone-a' }, { kind: 'clock<b>' }] }] }));
  const page = await openPage(browser, `${server.url}/screen/w-bad`);
  await assertText(page, '#wall-note', 'The layout is not understood. walls.main[0].tiles[1].kind: write "zones", "zone", "number", "list" or "history"');
  await assertText(page, '#wall tbody th', 'Ambient picking');
  await assertAccessible(page);
  await picture(page, 'wall-bad-layout');
  await closeCalm(page);
});

test('an upright wall, a phone and a zoomed one hold the zones', async () => {
  for (let i = 1; i <= 30; i++) await server.publish('w-sizes', `zone-${String(i).padStart(2, '0')}`, shift({ name: `Kommissionierung ${i}` }));
  for (const [name, width, height] of [['wall', 1920, 1080], ['upright', 1080, 1920], ['phone', 390, 844], ['zoomed', 480, 270]]) {
    const page = await openPage(browser, `${server.url}/screen/w-sizes`, { viewport: { width, height } });
    await assertText(page, '#wall tbody th', /^Kommissionierung \d+$/); // pages take turns
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name}: it is wider than the screen`);
    await picture(page, `wall-${name}`);
    await closeCalm(page);
  }
});
