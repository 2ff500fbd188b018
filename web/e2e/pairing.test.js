// Pairing of wall screens: a screen without a token shows a code, an operator confirms it, and the screen has a token of its own.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import jsQR from 'jsqr';
import { PNG } from 'pngjs';
import { assertAccessible, assertRoot, assertText, closeCalm, openBrowser, openPage, picture } from './browser.js';
import { Redis } from './redis.js';
import { Server } from './server.js';
import { secret } from './token.js';

const password = 'a-long-password';
const settings = { AUTH_TOKEN_SECRET: secret, OPERATOR_PASSWORD: password, PUBLISH_KEYS: 'the-key-of-a-service', RATE_LIMIT_TOKENS: '0' };
const Authorization = `Basic ${btoa(`operator:${password}`)}`;
const CODE = /^[B-Z]{4}-[B-Z]{4}$/;

let browser;
let redis;
let instances = [];

before(async () => {
  redis = await Redis.start();
  instances = await Promise.all(['a', 'b'].map((NODE_NAME) => Server.start(undefined, { ...settings, NODE_NAME, REDIS_URL: redis.url })));
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  await Promise.all(instances.map((one) => one.kill()));
  await redis?.stop();
});

/** The code that a screen shows. */
async function codeOf(screen) {
  await assertText(screen, '#code', CODE);
  return screen.locator('#code').textContent();
}

/** What a phone reads in the QR code on the screen. */
async function scan(screen) {
  const { data, width, height } = PNG.sync.read(await screen.screenshot());
  return jsQR(new Uint8ClampedArray(data), width, height)?.data;
}

/** The claims of the token that the browser of a screen keeps. */
const claims = (screen) =>
  screen.evaluate(() => {
    const { token } = JSON.parse(Object.entries(localStorage).find(([key]) => key.startsWith('zonecast-screen-token:'))[1]);
    return JSON.parse(atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/')));
  });

test('a screen shows a code, an operator of another instance confirms it, and it shows its zone until it is unpaired', async () => {
  const [here, there] = instances;
  await there.publish('w-pair', 'zone-a', { event: 'ZONE_UPDATE', retain: true, data: { workers: 12 } }, 'the-key-of-a-service');
  const screen = await openPage(browser, `${here.url}/screen/w-pair/zone-a?lang=en`);
  const addresses = [];
  screen.on('framenavigated', (frame) => addresses.push(frame.url()));
  await screen.waitForURL(/\/screen\/pair\?lang=en&for=w-pair%2Fzone-a$/);
  const code = await codeOf(screen);
  await assertText(screen, '#address', `${here.address}/ui/screens`);
  await assertText(screen, '#state', /^Waits for an operator\. New code at \d\d:\d\d\.$/);
  await assertAccessible(screen);
  const { width, height } = await screen.locator('#code').boundingBox();
  assert.ok(width <= 1920 && height > 200, `the code is ${width} × ${height}`);
  const { scrollWidth, scrollHeight } = await screen.evaluate(() => {
    const { scrollWidth, scrollHeight } = document.documentElement;
    return { scrollWidth, scrollHeight };
  });
  assert.deepEqual([scrollWidth, scrollHeight], [1920, 1080], 'nothing is cut');
  await picture(screen, 'pair-code');

  const { origin, pathname, search } = new URL(await scan(screen));
  assert.equal(origin, here.url);

  // As the QR code leads there, at another instance: what the screen was opened for is filled in.
  const operator = await openPage(browser, 'about:blank', { viewport: { width: 1280, height: 800 }, extraHTTPHeaders: { Authorization } });
  await operator.goto(there.url + pathname + search);
  await assertText(operator, '#pairing .code', code);
  await assertText(operator, '#pairing .asks', /^It was asked for from 127\.0\.0\.1 \d+ s ago, by Mozilla/);
  assert.equal(await operator.getByLabel('Warehouse').inputValue(), 'w-pair');
  assert.equal(await operator.getByLabel('Zones').inputValue(), 'zone-a');
  await operator.getByLabel('Name').fill('Dock 3');
  await assertAccessible(operator);
  await picture(operator, 'pair-confirm');
  await operator.setViewportSize({ width: 390, height: 844 });
  await picture(operator, 'pair-confirm-phone');
  assert.ok((await operator.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0);
  await operator.getByRole('button', { name: 'Pair it' }).click();
  await assertText(operator, 'main .notice', 'The screen is paired, and shows what it may see within seconds.');

  await screen.waitForURL(/\/screen\/w-pair\/zone-a\?lang=en$/);
  await assertText(screen, '#workers', '12');
  const first = await claims(screen);
  assert.equal(first.sub, 'screen:Dock 3');
  assert.deepEqual(first.warehouses, { 'w-pair': ['@warehouse', 'zone-a'] });
  assert.equal(first.publish, undefined);
  assert.ok(first.exp - first.iat === 30 * 86_400, 'it is valid for 30 days');
  await screen.reload();
  await assertText(screen, '#workers', '12');

  // A kiosk that is set to /screen/pair, and is switched on again.
  await screen.goto(`${here.url}/screen/pair?lang=en`);
  await screen.waitForURL(/\/screen\/w-pair\/zone-a\?lang=en$/);
  const renewed = await claims(screen);
  assert.equal(renewed.jti, first.jti);
  assert.ok(renewed.iat >= first.iat);

  // A day later it is renewed by itself.
  await screen.evaluate(() => {
    const [key, text] = Object.entries(localStorage).find(([name]) => name.startsWith('zonecast-screen-token:'));
    localStorage.setItem(key, JSON.stringify({ ...JSON.parse(text), renewAt: Date.now() - 1 }));
  });
  await screen.waitForTimeout(1_100); // an iat has seconds
  await screen.reload();
  await assertText(screen, '#workers', '12');
  const later = await claims(screen);
  assert.ok(later.iat > renewed.iat && later.exp > renewed.exp, `renewed at ${later.iat} after ${renewed.iat}`);
  assert.equal(later.jti, first.jti);

  await operator.setViewportSize({ width: 1280, height: 800 });
  await operator.goto(`${there.url}/ui/screens`);
  const row = operator.locator('#screens tbody tr', { hasText: 'Dock 3' });
  await row.getByText('paired').waitFor();
  await row.locator('input').check();
  await operator.getByRole('button', { name: 'Unpair' }).click();
  await assertText(operator, 'main .notice', 'The screen has no token any longer, and shows a code.');
  await screen.waitForURL(/\/screen\/pair\?lang=en&for=w-pair%2Fzone-a$/, { timeout: 60_000 });
  assert.notEqual(await codeOf(screen), code);
  for (const address of addresses) assert.doesNotMatch(address, /token|eyJ/);
  screen.complaints = screen.complaints.filter((text) => !/40[13]/.test(text)); // the browser notes each refusal
  await closeCalm(operator);
  await closeCalm(screen);
});

test('a screen of several zones sees these, and alerts of the building; phones and German fit', async () => {
  const [here] = instances;
  for (const zone of ['zone-a', 'zone-b', 'zone-c'])
    await here.publish('w-many', zone, { event: 'ZONE_UPDATE', retain: true, data: { workers: 12 } }, 'the-key-of-a-service');
  await here.publish('w-many', '', { event: 'ALERT', data: { id: 'fire', severity: 'critical', title: 'Leave the building' } }, 'the-key-of-a-service');
  const screen = await openPage(browser, `${here.url}/screen/pair?lang=de`, { viewport: { width: 390, height: 844 } });
  const code = await codeOf(screen);
  await assertText(screen, 'h1', 'Diese Anzeige koppeln');
  await assertAccessible(screen);
  assert.ok((await screen.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0);
  await picture(screen, 'pair-code-phone');
  await screen.setViewportSize({ width: 1080, height: 1920 });
  await picture(screen, 'pair-code-upright');
  await screen.setViewportSize({ width: 1920, height: 1080 });
  await picture(screen, 'pair-code-german');
  const answer = await fetch(`${here.url}/api/v1/pairings/${code}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization },
    body: JSON.stringify({ name: 'Lead', warehouse: 'w-many', zones: ['zone-a', 'zone-b'] }),
  });
  assert.equal(answer.status, 200, await answer.text());
  await screen.waitForURL(/\/screen\/w-many\?lang=de$/);
  await assertRoot(screen, 'data-state', 'live');
  await assertText(screen, '#alerts .title', 'Leave the building');
  await assertText(screen, '#wall', /zone-a.*zone-b/);
  assert.doesNotMatch(await screen.locator('#wall').textContent(), /zone-c/);
  await closeCalm(screen);
});
