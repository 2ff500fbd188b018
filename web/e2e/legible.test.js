// How large every text of a wall is from ten metres, in each state: on a 55-inch display of 1920 × 1080, in minutes of arc of a
// capital letter. Who sees 20/20 needs 5; what tells someone what to do has twice that.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { assertRoot, assertText, openBrowser, openPage, picture } from './browser.js';
import { Server } from './server.js';
import { secret } from './token.js';

const LEAST = 10;
/** What tells people what to do, or not to trust what they see. */
const TELLS = `.alert .severity, .alert .title, .alert .detail, .alert .since, .alert .seen, #alerts-doubt, #status-headline,
  #waiting-title, #waiting-text, #nearest-panel p, #nearest a, .refused h2, .refused > p`;

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

/** Each text that is seen, with its size; those that tell what to do are marked. */
function measure(page) {
  return page.evaluate((tells) => {
    const DISTANCE = 10_000; // mm
    const PIXEL = (55 * 25.4 * 16) / Math.hypot(16, 9) / 1920; // mm
    const CAPITAL = 0.698; // of the font's size, in IBM Plex Sans
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const element = node.parentElement;
      const text = node.textContent.trim();
      if (!text || !element.checkVisibility({ visibilityProperty: true }) || element.closest('.unseen, script, style, template, details')) continue;
      const height = parseFloat(getComputedStyle(element).fontSize) * CAPITAL * PIXEL;
      const arc = (Math.atan(height / DISTANCE) * 180 * 60) / Math.PI;
      found.push({ arc: Math.round(arc * 10) / 10, tells: element.closest(tells) !== null, text: text.slice(0, 60) });
    }
    return found.sort((a, b) => a.arc - b.arc);
  }, TELLS);
}

const report = [];

async function assertLegible(page, state) {
  const texts = await measure(page);
  report.push(`${state}\n${texts.map(({ arc, tells, text }) => `${String(arc).padStart(6)}' ${tells ? '!' : ' '} ${text}`).join('\n')}\n`);
  await writeFile(new URL('screenshots/legible.txt', import.meta.url), report.join('\n'));
  await picture(page, `legible-${state}`);
  assert.ok(texts.some(({ tells }) => tells), `${state}: nothing is told`);
  assert.deepEqual(texts.filter(({ arc, tells }) => tells && arc < LEAST), [], state);
}

const data = { name: 'Ambient picking', unitsPerHourTarget: 1450, unitsTarget: 11600, unitsDone: 5900, pickRate: 1390, ordersOpen: 87, workers: 12,
  startsAt: Date.now() - 4 * 3_600_000, endsAt: Date.now() + 4 * 3_600_000 };
const alert = (id, severity = 'critical') => ({ id, severity, title: `${id}: leave the hall`, detail: 'Exits A and C', raisedAt: Date.now() - 600_000 });

test('what tells people what to do can be read from ten metres, in every state', async () => {
  await server.publish('w', 'zone-a', { event: 'SHIFT_SNAPSHOT', retain: true, data: { ...data, alerts: [] } });
  const page = await openPage(browser, `${server.url}/screen/w/zone-aa`);
  await assertText(page, '#waiting-title', 'Nobody ever published to zone-aa');
  await assertLegible(page, 'never');

  await page.goto(`${server.url}/screen/w/zone-a`);
  await assertText(page, '#status-headline', 'Live');
  await assertLegible(page, 'live');
  await server.publish('w', 'zone-a', { event: 'SHIFT_SNAPSHOT', retain: true, data: { ...data, alerts: [alert('Fire 1'), alert('Fire 2'), alert('Fire 3'), alert('Paper', 'warning')] } });
  await server.publish('w', 'zone-a', { event: 'ALERT_ACKNOWLEDGED', data: { id: 'Fire 1', by: 'Anna' } });
  await server.publish('w', 'zone-a', { event: 'ALERT_ESCALATED', data: { id: 'Fire 2' } });
  await assertText(page, '#alerts .escalated .seen', 'nobody sees to it');
  await assertLegible(page, 'critical');
  assert.ok(await page.evaluate(() => document.documentElement.scrollHeight <= innerHeight), 'a wall has to be scrolled');

  await page.goto(`${server.url}/screen/w`);
  await page.locator('#wall tbody tr').first().waitFor();
  await assertText(page, '#alerts .title', /^Ambient picking: Fire 2/);
  await assertLegible(page, 'warehouse');

  const { address } = server;
  await page.goto(`${server.url}/screen/w/zone-a`);
  await assertText(page, '#rate', '1,390');
  await server.kill();
  await assertRoot(page, 'data-state', 'lost');
  await assertLegible(page, 'lost');
  server = await Server.start(address, { AUTH_TOKEN_SECRET: secret });
  await page.goto(`${server.url}/screen/w/zone-a`);
  await assertRoot(page, 'data-state', 'refused');
  await assertLegible(page, 'refused');
  await page.context().close();
});
