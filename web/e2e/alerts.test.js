// Open alerts are state of the server: they outlive the page, and someone can be seen to see to them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertAccessible, assertText, closeCalm, openBrowser, openPage, picture } from './browser.js';
import { Redis } from './redis.js';
import { Server } from './server.js';

const MINUTE = 60_000;

let browser;
let server;

before(async () => {
  server = await Server.start(undefined, { ACKNOWLEDGE_PINS: 'Anna:480231', PUBLISH_KEYS: 'key-of-a-service-1' });
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  await server?.kill();
});

const open = (zone, query = '', options = undefined) => openPage(browser, `${server.url}/screen/warehouse-1/${zone}${query}`, options);
const publish = (zone, event, data, retain) => server.publish('warehouse-1', zone, { event, data, ...(retain && { retain }) }, 'key-of-a-service-1');
const raise = (zone, id, changes = {}) => publish(zone, 'ALERT', { id, severity: 'warning', title: id, raisedAt: Date.now() - 12 * MINUTE, ...changes });
const titles = (page) => page.locator('#alerts .title').allTextContents();

async function assertTitles(page, want) {
  const deadline = Date.now() + 10_000;
  while (JSON.stringify(await titles(page)) !== JSON.stringify(want)) {
    if (Date.now() > deadline) assert.deepEqual(await titles(page), want);
    await page.waitForTimeout(100);
  }
}

test('a screen that is loaded anew shows the alerts that are open, and no others', async () => {
  await publish('zone-a', 'SHIFT_SNAPSHOT', { pickRate: 900, alerts: [{ id: 'Listed' }, { id: 'Listed, over' }] }, true);
  await raise('zone-a', 'FIRE in hall 3', { severity: 'critical' });
  await raise('zone-a', 'Over');
  await raise(undefined, 'Gate 4 is blocked');
  await raise('zone-a', 'Over', { cleared: true });
  await raise('zone-a', 'Listed, over', { cleared: true });
  await raise('zone-a', 'Expired', { expiresAt: Date.now() + 1_000 });
  const page = await open('zone-a');
  await assertTitles(page, ['FIRE in hall 3', 'Gate 4 is blocked', 'Listed']);
  await page.reload();
  await assertTitles(page, ['FIRE in hall 3', 'Gate 4 is blocked', 'Listed']);
  await raise('zone-a', 'FIRE in hall 3', { cleared: true });
  await assertTitles(page, ['Gate 4 is blocked', 'Listed']);
  await raise(undefined, 'Gate 4 is blocked', { cleared: true });
  await assertTitles(page, ['Listed']);
  await closeCalm(page);
});

test('all screens see within a second who has seen to an alert, and since when', async () => {
  await raise('zone-b', 'Conveyor 3 stopped', { severity: 'critical', detail: 'Station 14' });
  await raise('zone-b', 'Printer 2 is out of paper', { raisedAt: Date.now() });
  const [mine, other] = [await open('zone-b', '?escalate=10'), await open('zone-b')];
  await assertTitles(other, ['Conveyor 3 stopped', 'Printer 2 is out of paper']);
  assert.equal(await mine.locator('.alert.escalated .title').textContent(), 'Conveyor 3 stopped');
  await picture(mine, 'screen-escalated');
  const button = mine.locator('.alert.critical button');
  assert.equal(await button.isVisible(), false, 'a wall that nobody touches has buttons');
  await mine.mouse.move(10, 10);
  await button.click();
  await mine.locator('#pin-input').fill('999999');
  await mine.locator('#pin button[type=submit]').click();
  await assertText(mine, '#pin-answer', 'This PIN is not known');
  await assertAccessible(mine);
  await picture(mine, 'screen-pin');
  await mine.locator('#pin-input').fill('480231');
  const sent = Date.now();
  await mine.locator('#pin button[type=submit]').click();
  await other.waitForFunction(() => document.querySelector('.alert.critical .seen')?.textContent.startsWith('seen by Anna '));
  assert.ok(Date.now() - sent < 3_000, `the other screen saw it after ${Date.now() - sent} ms`); // 1 s, and a busy machine
  await assertText(mine, '.alert.critical .seen', /^seen by Anna \d\d:\d\d$/);
  assert.equal(await mine.locator('.alert.escalated').count(), 0);
  assert.equal(await mine.locator('.alert.critical button').isVisible(), false);
  await assertAccessible(other);
  await picture(other, 'screen-acknowledged');
  await other.reload();
  await assertText(other, '.alert.critical .seen', /^seen by Anna/);
  mine.complaints = mine.complaints.filter((text) => !/40[13]/.test(text)); // the refused PIN
  await closeCalm(mine);
  await closeCalm(other);
});

test('alerts are there at every instance that shares a Redis', async () => {
  const redis = await Redis.start();
  const [one, two] = await Server.startPair(redis.url);
  try {
    await one.publish('warehouse-1', 'zone-a', { event: 'ALERT', data: { id: 7, severity: 'Critical', title: 'Dock 7 is blocked' } });
    const page = await openPage(browser, `${two.url}/screen/warehouse-1/zone-a`);
    await assertTitles(page, ['Dock 7 is blocked']);
    await page.mouse.move(10, 10);
    await page.locator('.alert button').click(); // nobody has to say who it is
    await assertText(page, '.alert .seen', /^seen \d\d:\d\d$/);
    await one.publish('warehouse-1', 'zone-a', { event: 'ALERT', data: { id: '7', cleared: true } });
    await assertTitles(page, []);
    await closeCalm(page);
  } finally {
    await Promise.all([one.kill(), two.kill()]);
    await redis.stop();
  }
});

test('a new critical alert moves once and is heard once, unless the address or the machine says otherwise', async () => {
  await raise('zone-n', 'Known', { severity: 'critical' });
  const watch = async (query, options) => {
    const page = await open('zone-n', query, options);
    await assertTitles(page, ['Known']);
    await page.evaluate(() => {
      window.noticed = '';
      const { animate } = Element.prototype;
      Element.prototype.animate = function (...given) {
        window.noticed += 'motion ';
        return animate.apply(this, given);
      };
      const { createOscillator } = AudioContext.prototype;
      AudioContext.prototype.createOscillator = function () {
        window.noticed += 'sound ';
        return createOscillator.call(this);
      };
    });
    return page;
  };
  const heard = await openBrowser(['--autoplay-policy=no-user-gesture-required']);
  const quiet = browser;
  browser = heard;
  const pages = [
    [await watch(''), 'motion sound '],
    [await watch('?sound=off'), 'motion '],
    [await watch('?motion=off'), 'sound '],
    [await watch('', { reducedMotion: 'reduce' }), 'sound '],
    [await watch('?sound=off&motion=off'), ''],
  ];
  browser = quiet;
  const noticed = async (want) => {
    for (const [page, each] of pages) {
      await page.waitForFunction((text) => window.noticed === text, want(each), { timeout: 10_000 }).catch(async () => assert.equal(await page.evaluate(() => window.noticed), want(each)));
    }
  };
  await noticed(() => ''); // what was known is no news
  await raise('zone-n', 'Fire', { severity: 'critical', raisedAt: Date.now() });
  for (const [page] of pages) await assertTitles(page, ['Known', 'Fire']);
  await noticed((each) => each);
  await raise('zone-n', 'Paper', { raisedAt: Date.now() });
  for (const [page] of pages) await assertTitles(page, ['Known', 'Fire', 'Paper']);
  await noticed((each) => each); // a warning is not worth it, nor is the same alert again
  await heard.close();
});
