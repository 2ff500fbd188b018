import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { WebSocket } from 'ws';
import { assertAccessible, assertText, closeCalm, openBrowser, openPage, picture } from './browser.js';
import { Redis } from './redis.js';
import { Server } from './server.js';

let browser;
let redis;
let instances = [];
const sockets = [];

before(async () => {
  redis = await Redis.start();
  instances = await Server.startPair(redis.url);
  browser = await openBrowser();
});

after(async () => {
  for (const socket of sockets) socket.terminate();
  await browser?.close();
  await Promise.all(instances.map((one) => one.kill()));
  await redis?.stop();
});

/** Connects a client to a zone over one of the instances. */
async function connect(instance, userId, zone = 'zone-c') {
  const query = new URLSearchParams({ warehouse: 'warehouse-1', zone, userId });
  const socket = new WebSocket(`${instance.url.replace('http', 'ws')}/ws?${query}`);
  socket.on('error', () => {});
  sockets.push(socket);
  await once(socket, 'message');
  return socket;
}

async function assertFits(page) {
  await page.setViewportSize({ width: 320, height: 800 });
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(overflow <= 0, `${overflow} pixels too wide at 320`);
  await assertAccessible(page);
}

test('an operator finds a client over all instances, watches it, and disconnects it after a question', async () => {
  const wall = await connect(instances[0], 'wall-7');
  await connect(instances[1], 'scanner-3');
  const page = await openPage(browser, `${instances[0].url}/ui/clients`, { viewport: { width: 1280, height: 800 } });
  await assertText(page, '#clients .actions span', '2 clients');
  await assertText(page, '#link', 'live');
  await page.keyboard.press('/');
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'search');
  await page.keyboard.type('wall');
  await page.keyboard.press('Enter');
  await page.waitForURL(/search=wall/);
  await assertText(page, '#clients .actions span', '1 client');
  await assertText(page, '#clients tbody', /^wall-7 ?zone-c in warehouse-1 ?websocket ?127\.0\.0\.1/);
  await assertAccessible(page);
  await picture(page, 'clients');

  await page.locator('#clients tbody input').check();
  await page.waitForTimeout(2_500); // a rendering later it is still chosen
  assert.ok(await page.locator('#clients tbody input').isChecked());
  await page.getByRole('button', { name: 'Disconnect the chosen…' }).click();
  await assertText(page, '#confirm-title', 'Disconnect 1 client?');
  await assertAccessible(page);
  await picture(page, 'clients-question');
  await page.getByLabel('Why?').fill('dark screen');
  const closed = once(wall, 'close');
  await page.getByRole('button', { name: 'Disconnect 1 client' }).click();
  await page.waitForURL(/done=1/);
  await assertText(page, 'main .notice[role=status]', '1 client disconnected.');
  assert.equal((await closed)[0], 1012);

  await connect(instances[1], 'wall-7'); // it comes back, elsewhere
  await page.goto(`${instances[1].url}/ui/closed?warehouse=warehouse-1&zone=zone-c`);
  await assertText(page, '#closed tbody tr', /wall-7 ?disconnected by an operator ?(at once|after \d+ s)/);
  await assertText(page, '#churn tbody', /it was asked to connect again \(1012\)/);
  await assertAccessible(page);
  await picture(page, 'closed');
  await page.goto(`${instances[1].url}/ui/clients?search=wall-7`);
  await page.locator('#clients tbody a').first().click();
  await assertText(page, '#client-title', 'wall-7');
  await assertText(page, '#link', 'live');
  await assertText(page, '#client', /Transport ?websocket.*warehouse-1 ?zone-c.*disconnected by an operator/);
  await assertAccessible(page);
  await picture(page, 'client');
  await assertFits(page);
  await page.goto(`${instances[0].url}/ui/clients`);
  await assertFits(page);
  await page.goto(`${instances[0].url}/ui/closed`);
  await assertFits(page);
  await page.goto(`${instances[0].url}/ui/log`);
  await assertText(page, '#events tbody', /instance started ?backend-[12]/);
  await assertFits(page);
  await closeCalm(page);
});

test('without JavaScript the same can be done', async () => {
  await connect(instances[1], 'robot-1', 'zone-d');
  const page = await openPage(browser, `${instances[0].url}/ui/clients?zone=zone-d&warehouse=warehouse-1`, { javaScriptEnabled: false });
  await assertText(page, '#clients .actions span', '1 client');
  await page.getByRole('link', { name: 'Disconnect all that match…' }).click();
  await assertText(page, '#confirm-title', 'Disconnect 1 client?');
  await page.getByRole('button', { name: 'Disconnect 1 client' }).click();
  await assertText(page, 'main .notice[role=status]', '1 client disconnected.');
  await closeCalm(page);
});

test('an admin opens a zone, sends a test that its clients get, and removes what is retained', async () => {
  const client = await connect(instances[1], 'screen-1', 'zone-e');
  const frames = [];
  client.on('message', (data) => frames.push(JSON.parse(data)));
  await instances[0].publish('warehouse-1', 'zone-e', { event: 'NOTE', data: { text: 'x'.repeat(400) }, retain: true });
  const page = await openPage(browser, `${instances[0].url}/ui/`, { viewport: { width: 1280, height: 900 } });
  await page.getByRole('link', { name: 'zone-e', exact: true }).click();
  await assertText(page, '#room-title', 'zone-e in warehouse-1');
  await assertText(page, '#link', 'live');
  await assertText(page, '#room', /backend-1 ?0.*backend-2 ?1.*up to date/);
  await assertText(page, '#clients tbody', /^screen-1/);
  await picture(page, 'room');
  await page.getByRole('link', { name: 'Send a test…' }).click();
  await assertText(page, '#confirm', /1 client at 1 instance get it now/);
  await assertFits(page);
  await picture(page, 'room-test');
  await page.getByRole('button', { name: 'Send the test to 1 client' }).click();
  await assertText(page, '#room [role=status]', /1 of 1 instance with clients of it passed it on/);
  assert.ok(frames.some(({ event, data }) => event === 'ALERT' && data.test === true));
  await page.getByRole('link', { name: /^Remove NOTE/ }).click();
  await assertFits(page);
  await page.getByRole('button', { name: 'Remove 1 message' }).click();
  await assertText(page, '#messages section', /ALERT/);
  assert.equal(await page.locator('#messages section').first().getByText('NOTE').count(), 0);
  for (const look of [{ colorScheme: 'light' }, { colorScheme: 'dark' }, { forcedColors: 'active' }]) {
    await page.emulateMedia(look);
    await assertFits(page);
  }
  await picture(page, 'room-narrow');
  await page.goto(`${instances[0].url}/ui/warehouses/warehouse-1`);
  await assertText(page, '#room', /zone-e/);
  await assertFits(page);
  await closeCalm(page);
  const lost = await openPage(browser, `${instances[0].url}/ui/warehouses/warehouse-1/zones/zone-x`);
  await assertText(lost, '#room', /Nobody is connected to it.*zone-e/);
  await picture(lost, 'room-unknown');
  await assertFits(lost);
  lost.complaints.length = 0; // that the page is answered 404
  await closeCalm(lost);
});

test('an operator drains an instance from the page of another, watches its clients go, and puts it back', async () => {
  const client = await connect(instances[0], 'robot-9', 'zone-f');
  const page = await openPage(browser, `${instances[1].url}/ui/instances`, { viewport: { width: 1280, height: 800 } });
  await assertText(page, '#link', 'live');
  await assertText(page, '#nodes tbody tr', /backend-1 ?ready ?redis for .* MiB.* of \d+ cores ?\d+ of [\d,]+/);
  for (const look of [{ colorScheme: 'light' }, { colorScheme: 'dark' }, { forcedColors: 'active' }]) {
    await page.emulateMedia(look);
    await assertAccessible(page);
  }
  await picture(page, 'instances');
  await page.getByRole('link', { name: 'backend-1' }).click();
  await assertText(page, '#instance-title', 'backend-1');
  await page.getByRole('link', { name: 'Drain…' }).click();
  await assertText(page, '#confirm', /will be asked to connect again, to backend-2/);
  await picture(page, 'instance-question');
  await assertFits(page);
  const closed = once(client, 'close');
  await page.getByLabel('Why?').fill('new kernel');
  await page.getByRole('button', { name: 'Drain backend-1' }).click();
  await assertText(page, '#instance', /Drain(ing|ed)\./);
  await assertFits(page);
  assert.equal((await closed)[0], 1012);
  await assertText(page, '#instance [role=status]', 'Drained. Nobody is left: it can be stopped.', 20_000);
  await picture(page, 'instance-drained');

  // The drained instance shows pages all the same, and needs no JavaScript to be put back.
  const plain = await openPage(browser, `${instances[0].url}/ui/instances/backend-1`, { javaScriptEnabled: false });
  await plain.getByRole('link', { name: 'Put it back into service…' }).click();
  await plain.getByRole('button', { name: 'Put backend-1 back' }).click();
  await assertText(plain, '#instance', /State ?ready/);
  await assertText(page, '#instance', /State ?ready/);
  await page.goto(`${instances[1].url}/ui/instances`);
  await assertFits(page);
  for (const one of [page, plain]) await closeCalm(one);
  const lost = await openPage(browser, `${instances[1].url}/ui/instances/nobody`);
  await assertText(lost, '#instance', /There is no instance of this name/);
  await assertFits(lost);
  lost.complaints.length = 0; // that the page is answered 404
  await closeCalm(lost);
});

test('the past is the same at every instance, and says its values at a moment that the keyboard chooses', async () => {
  const pages = await Promise.all(instances.map(({ url }) => openPage(browser, `${url}/ui/past`, { viewport: { width: 1280, height: 900 } })));
  const [page] = pages;
  await assertText(page, '#link', 'live');
  const read = (one) =>
    one.evaluate(() => ({
      began: document.getElementById('charts').dataset.began,
      texts: document.querySelector('.chart').dataset.texts.split('|').slice(0, -3), // without the steps that go on
      partial: document.getElementById('partial').childElementCount > 0, // which a busy machine may cause
    }));
  let told;
  do {
    await Promise.all(pages.map((one) => one.reload()));
    told = await Promise.all(pages.map(read));
  } while (told[0].began !== told[1].began || told.some(({ partial }) => partial));
  assert.deepEqual(told[1].texts, told[0].texts);
  const slider = page.getByLabel('Moment');
  await slider.focus();
  await page.keyboard.press('ArrowLeft');
  await assertText(page, '#moment', /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/);
  assert.match(await slider.getAttribute('aria-valuetext'), /^[\d-]+ [\d:]+ UTC, Connections: .*, Published per second: .*, p99 of the delivery latency: /);
  await picture(page, 'past');
  await page.keyboard.press('End');
  await assertText(page, '#moment', 'now');
  for (const look of [{ colorScheme: 'light' }, { colorScheme: 'dark' }, { forcedColors: 'active' }]) {
    await page.emulateMedia(look);
    await assertFits(page);
  }
  await page.getByRole('link', { name: '8 hours' }).click();
  await assertText(page, '#past-title', 'The last 8 hours');
  await assertFits(page);
  await picture(page, 'past-narrow');
  for (const one of pages) await closeCalm(one);
});

test('a frozen instance delays no page by more than a second, and is named', async () => {
  const page = await openPage(browser, `${instances[0].url}/ui/clients`);
  await assertText(page, '#link', 'live');
  instances[1].freeze();
  try {
    const began = Date.now();
    const answer = await fetch(`${instances[0].url}/ui/clients`);
    const text = await answer.text();
    const took = Date.now() - began;
    assert.ok(took < 3_000, `the page took ${took} ms on a busy machine, 900 of them by design`);
    assert.match(text, /1<\/?.*of 2 instances|1 of 2 instances/);
    assert.match(text, /backend-2/);
    await assertText(page, '#partial', /1 of 2 instances answered.*backend-2/);
    await assertText(page, '#link', 'live');
    await picture(page, 'clients-partial');
    // What became of it is an event, and its duration another when it is back.
    await page.goto(`${instances[0].url}/ui/log`);
    await assertText(page, '#events tbody', /instance gone ?backend-2/, 20_000);
  } finally {
    instances[1].thaw();
  }
  await assertText(page, '#events tbody tr', /instance back ?backend-2.* s$/, 20_000);
  await picture(page, 'events');
  await closeCalm(page);
});
