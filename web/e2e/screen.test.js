import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertAccessible, assertRoot, assertText, closeCalm, openBrowser, openPage, picture } from './browser.js';
import { Redis } from './redis.js';
import { Server } from './server.js';
import { secret, sign } from './token.js';

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

function snapshot(changes = {}) {
  const now = Date.now();
  return {
    event: 'SHIFT_SNAPSHOT',
    retain: true,
    data: {
      shift: 'test-early',
      startsAt: now - 4 * HOUR,
      endsAt: now + 4 * HOUR,
      now,
      zone: 'zone-a',
      name: 'Ambient picking',
      workers: 12,
      unitsPerHourTarget: 1450,
      unitsTarget: 11600,
      unitsDone: 5233,
      pickRate: 1390,
      ordersOpen: 87,
      alerts: [],
      ...changes,
    },
  };
}

const alert = (severity, title, changes = {}) => ({
  event: 'ALERT',
  data: { id: title, severity, title, detail: 'Station 14', raisedAt: Date.now(), ...changes },
});

const open = (zone, options) => openPage(browser, `${server.url}/screen/warehouse-1/${zone}`, options);

test('a screen without data says what to publish, and what it says works', async () => {
  const page = await open('zone-new', { viewport: { width: 1280, height: 720 } });
  await assertRoot(page, 'data-state', 'waiting');
  await assertText(page, '#waiting-title', 'Nobody ever published to zone-new');
  assert.equal(await page.locator('#waiting code').isVisible(), false, 'the floor is shown a command');
  await page.locator('#waiting summary').click();
  const command = await page.locator('#waiting code').innerText();
  await assertAccessible(page);
  await picture(page, 'screen-waiting');

  const [, address] = /^curl (\S+)/.exec(command) ?? [];
  const [, body] = /-d '(.*)'/s.exec(command) ?? [];
  const answer = await fetch(address, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
  assert.equal(answer.status, 200, await answer.text());
  await assertText(page, '#rate', '1,390');
  await assertRoot(page, 'data-state', 'live');
  await closeCalm(page);
});

test('the shift, its updates and its alerts are shown as they come', async () => {
  const page = await open('zone-a');
  await assertRoot(page, 'data-state', 'waiting');
  await server.publish('warehouse-1', 'zone-a', snapshot());
  await assertText(page, '#name', 'Ambient picking');
  await assertText(page, '#rate', '1,390');
  await assertText(page, '#rate-share', '▼ 96 % of target');
  await assertText(page, '#rate-target', 'target 1,450');
  await assertText(page, '#done', '5,233');
  await assertText(page, '#goal', 'of 11,600 units');
  await assertText(page, '#units-share', '45 %');
  await assertText(page, '#time-share', '50 %');
  await assertText(page, '#plan', '▼ −567 units behind plan');
  await assertText(page, '#orders', '87');
  await assertText(page, '#workers', '12');
  await assertText(page, '#status-headline', 'Live');
  await assertText(page, '#status-detail', /^updated \d+ s ago$/);

  for (let n = 1; n <= 20; n++) {
    const data = { now: Date.now() + n * 60_000, workers: 11, unitsDone: 5233 + n, pickRate: 1402 + n, ordersOpen: 86 };
    await server.publish('warehouse-1', 'zone-a', { event: 'ZONE_UPDATE', data });
  }
  await assertText(page, '#rate', '1,422');
  await assertText(page, '#done', '5,253');
  await assertText(page, '#workers', '11');
  await assertText(page, '#trend-span', /^last (19|20) min$/);
  await assertAccessible(page);
  await picture(page, 'screen-live');

  await server.publish('warehouse-1', 'zone-a', alert('warning', 'Cartons run low', { detail: '' }));
  await server.publish('warehouse-1', 'zone-a', alert('critical', 'Conveyor 3 stopped'));
  await server.publish('warehouse-1', undefined, alert('info', 'Fire drill at 14:00'));
  await assertText(page, '#alerts li:nth-child(1)', /^Critical ?Conveyor 3 stopped ?Station 14 ?for \d+ min( ?I see to it)?$/);
  await assertText(page, '#alerts li:nth-child(2) .title', 'Cartons run low');
  await assertText(page, '#alerts li:nth-child(3) .title', 'Fire drill at 14:00');
  assert.equal(await page.locator('html[data-critical]').count(), 1);
  assert.equal(await page.locator('#alerts li svg').count(), 3);
  await assertFits(page);
  await assertAccessible(page);
  await picture(page, 'screen-critical');

  for (const [severity, title] of [['critical', 'Conveyor 3 stopped'], ['warning', 'Cartons run low']])
    await server.publish('warehouse-1', 'zone-a', alert(severity, title, { clearedAt: Date.now() }));
  await server.publish('warehouse-1', undefined, alert('info', 'Fire drill at 14:00', { clearedAt: Date.now() }));
  await page.locator('#alerts-panel').waitFor({ state: 'hidden' });
  assert.equal(await page.locator('html[data-critical]').count(), 0);
  await closeCalm(page);
});

/** Nothing on a wall can be scrolled to. */
async function assertFits(page) {
  const cut = await page.evaluate(() =>
    [document.documentElement, ...document.querySelectorAll('.board > section, .alerts')]
      .filter((element) => element.scrollHeight > element.clientHeight + 1)
      .map((element) => `${element.tagName} ${element.className}: ${element.scrollHeight} in ${element.clientHeight}`),
  );
  assert.deepEqual(cut, []);
}

test('a screen that comes late gets the retained snapshot', async () => {
  await server.publish('warehouse-1', 'zone-late', snapshot({ name: 'Cold store', pickRate: 777 }));
  const page = await open('zone-late', { colorScheme: 'light' });
  await assertText(page, '#rate', '777');
  await assertText(page, '#name', 'Cold store');
  await assertAccessible(page);
  await picture(page, 'screen-light');
  await closeCalm(page);
});

test('what is published stays text', async () => {
  const evil = '<img src=x onerror="document.title=1">';
  const page = await open('zone-evil');
  await assertRoot(page, 'data-state', 'waiting');
  await server.publish('warehouse-1', 'zone-evil', snapshot({ name: evil, pickRate: evil, alerts: [{ id: evil, severity: evil, title: evil, detail: evil }] }));
  await assertText(page, '#name', evil);
  await assertText(page, '#rate', '–');
  await assertText(page, '#alerts .title', evil);
  assert.equal(await page.locator('img').count(), 0);
  assert.equal(await page.title(), evil);
  await closeCalm(page);
});

test('a phone and an upright screen hold everything', async () => {
  await server.publish('warehouse-1', 'zone-late', snapshot());
  for (const [name, width, height] of [['phone', 390, 844], ['upright', 1080, 1920], ['small', 1024, 600]]) {
    const page = await open('zone-late', { viewport: { width, height } });
    await assertText(page, '#rate', '1,390');
    await assertFits(page);
    await picture(page, `screen-${name}`);
    await closeCalm(page);
  }
});

test('a screen needs a token where clients do, and says so', async () => {
  const guarded = await Server.start(undefined, { AUTH_TOKEN_SECRET: secret, PUBLISH_KEYS: 'the-key-of-a-service' });
  const screen = `${guarded.url}/screen/warehouse-1/zone-a`;
  try {
    for (const [name, address, title, reason] of [
      ['none', '', /^This screen needs a token$/, /^$/],
      ['bad', '#token=nonsense', /^This token is not valid$/, /JSON Web Token/],
      ['expired', `#token=${sign(['warehouse-1'], -60)}`, /^This token is not valid$/, /has expired/],
      ['foreign', `#token=${sign(['warehouse-2'])}`, /^This token is for other warehouses$/, /its claim warehouses is warehouse-2/],
    ]) {
      const page = await openPage(browser, screen + address);
      await assertRoot(page, 'data-state', 'refused');
      await assertText(page, '#refused-title', title);
      await assertText(page, '#refused-reason', reason);
      await assertText(page, '#status-headline', 'No access');
      await assertText(page, '.refused code', `${screen}#token=TOKEN`);
      assert.equal(await page.locator('#waiting').isVisible(), false);
      await assertFits(page);
      await assertAccessible(page);
      await picture(page, `screen-refused-${name}`);
      await closeCalm(page);
    }

    await guarded.publish('warehouse-1', 'zone-a', snapshot(), 'the-key-of-a-service');
    const token = sign(['warehouse-1']);
    for (const mark of ['#', '?']) {
      const page = await openPage(browser, 'about:blank');
      const dialled = page.waitForEvent('websocket');
      await page.goto(`${screen}${mark}token=${token}`);
      assert.equal(new URL((await dialled).url()).search, '?warehouse=warehouse-1&zone=zone-a', 'the token is where logs are');
      await assertRoot(page, 'data-state', 'live');
      await closeCalm(page);
    }

    const page = await openPage(browser, screen);
    await assertRoot(page, 'data-state', 'refused');
    await page.goto(`${screen}#token=${token}`); // which loads nothing by itself
    await assertRoot(page, 'data-state', 'live');
    await closeCalm(page);
  } finally {
    await guarded.kill();
  }
});

test('a bad address says what is wrong with it', async () => {
  const page = await openPage(browser, `${server.url}/screen/warehouse%201/zone-a`);
  await assertText(page, 'h1', 'No warehouse can have this name');
  await assertAccessible(page);
  page.complaints = []; // the browser reports the 400
  await page.goto(`${server.url}/screen/`);
  await assertText(page, 'h1', 'Wall screens');
  await assertAccessible(page);
  await picture(page, 'screen-index');
  await closeCalm(page);
});

test('a lost server is said so, and what comes after it is shown', async () => {
  const page = await open('zone-b');
  await server.publish('warehouse-1', 'zone-b', snapshot());
  await assertRoot(page, 'data-state', 'live');
  const { address } = server;
  await server.kill();
  await assertRoot(page, 'data-state', 'lost');
  await assertText(page, '#status-headline', 'Connection lost');
  await assertText(page, '#status-detail', /^last update \d\d:\d\d:\d\d, \d+ s ago$/);
  await assertText(page, '#rate', '1,390');
  await assertAccessible(page);
  await picture(page, 'screen-lost');

  server = await Server.start(address);
  await page.locator('html:not([data-state="lost"])').waitFor({ state: 'attached', timeout: 45_000 });
  await server.publish('warehouse-1', 'zone-b', snapshot({ pickRate: 1500 }));
  await assertText(page, '#rate', '1,500');
  await assertRoot(page, 'data-state', 'live');
  page.complaints = []; // the browser complained of the server that was away
  await closeCalm(page);
});

test('what a screen missed while its server was away is shown when it is back', async () => {
  const redis = await Redis.start();
  const [own, other] = await Server.startPair(redis.url);
  let successor;
  try {
    const page = await openPage(browser, `${own.url}/screen/warehouse-1/zone-a`);
    await assertRoot(page, 'data-state', 'waiting');
    await other.publish('warehouse-1', 'zone-a', snapshot());
    await other.publish('warehouse-1', 'zone-a', alert('warning', 'Cartons run low'));
    await assertText(page, '#alerts li:nth-child(1) .title', 'Cartons run low');

    await own.kill();
    await assertRoot(page, 'data-state', 'lost');
    await other.publish('warehouse-1', 'zone-a', alert('warning', 'Cartons run low', { clearedAt: Date.now() }));
    await other.publish('warehouse-1', 'zone-a', alert('critical', 'Conveyor 3 stopped'));
    await other.publish('warehouse-1', 'zone-a', { event: 'ZONE_UPDATE', data: { now: Date.now(), pickRate: 420 } });

    successor = await Server.start(own.address, { REDIS_URL: redis.url, NODE_NAME: 'backend-3' });
    await assertRoot(page, 'data-state', 'live', 45_000);
    await assertText(page, '#rate', '420');
    await assertText(page, '#alerts li:nth-child(1) .title', 'Conveyor 3 stopped');
    assert.equal(await page.locator('#alerts li').count(), 1, 'an alert that was cleared meanwhile is still there');
    await page.context().close();
  } finally {
    for (const instance of [own, other, successor]) await instance?.kill();
    await redis.stop();
  }
});

test('an unattended screen keeps the display on and hides the pointer', async () => {
  const context = await browser.newContext();
  await context.addInitScript(() => {
    Object.defineProperty(navigator, 'wakeLock', { value: { request: (kind) => Promise.resolve((document.documentElement.dataset.lock = kind)) } });
  });
  const page = await context.newPage();
  await page.goto(`${server.url}/screen/warehouse-1/zone-kiosk`);
  await assertRoot(page, 'data-lock', 'screen');
  await assertRoot(page, 'data-idle', '');
  assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector('h1')).cursor), 'none');
  await page.mouse.move(10, 10);
  await page.locator('html:not([data-idle])').waitFor({ state: 'attached' });
  await context.close();
});

test('a screen loads itself anew when the server has a newer page', async () => {
  const page = await open('zone-c');
  await assertRoot(page, 'data-state', 'waiting');
  await page.route('**/screen/**', async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ response: answer, headers: { ...answer.headers(), 'zonecast-build': 'a newer one' } });
  });
  const { address } = server;
  const loaded = page.waitForEvent('load', { timeout: 60_000 });
  await server.kill();
  server = await Server.start(address);
  await loaded;
  await page.context().close();
});
