// Wall screens as a fleet: who they are, and what an operator has them do, over all instances.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertAccessible, assertRoot, assertText, closeCalm, openBrowser, openPage, picture } from './browser.js';
import { Redis } from './redis.js';
import { Server } from './server.js';
import { secret, sign } from './token.js';

let browser;
let redis;
let instances = [];

before(async () => {
  redis = await Redis.start();
  instances = await Server.startPair(redis.url);
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  await Promise.all(instances.map((one) => one.kill()));
  await redis?.stop();
});

test('an operator sees which screens there are, identifies one, reloads it and sends it elsewhere', async () => {
  for (const zone of ['zone-a', 'zone-b']) await instances[0].publish('w-fleet', zone, { event: 'ZONE_UPDATE', retain: true, data: { workers: 12 } });
  const screen = await openPage(browser, `${instances[0].url}/screen/w-fleet/zone-a?name=Dock%203&lang=en`);
  await assertText(screen, '#workers', '12');
  const wall = await openPage(browser, `${instances[1].url}/screen/w-fleet?wall=lead`);
  await assertRoot(wall, 'data-state', 'live');

  const operator = await openPage(browser, `${instances[1].url}/ui/screens`, { viewport: { width: 1280, height: 800 } });
  const row = operator.locator('#screens tbody tr', { hasText: 'Dock 3' });
  await row.waitFor();
  assert.match((await row.textContent()).replace(/\s+/g, ' '), /Dock 3 ?[0-9a-f]{4} ?on ?w-fleet\/zone-a ?[0-9a-f]{10} ?\d+ s ?127\.0\.0\.1 ?backend-1/);
  await operator.locator('#screens tbody tr', { hasText: 'w-fleet?wall=lead' }).waitFor();
  await assertText(operator, '#screens .more', '2 screens, none is dark');
  await assertAccessible(operator);
  await row.locator('input').check();
  await operator.getByPlaceholder('warehouse/zone').fill('w-fleet/zone-b');
  await operator.waitForTimeout(2_500); // a rendering later it is still chosen
  assert.ok(await row.locator('input').isChecked());
  await picture(operator, 'fleet');
  await operator.setViewportSize({ width: 320, height: 800 });
  assert.ok((await operator.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)) <= 0);

  await operator.getByRole('button', { name: 'Identify' }).click();
  await assertText(operator, 'main .notice', 'The screen shows its name in large letters for 15 s.');
  await assertText(screen, '.identity', 'Dock 3');
  const { width, height } = await screen.locator('.identity bdi').boundingBox();
  assert.ok(width < 1920 && width > 1000 && height > 300, `the name is ${width} × ${height}`);
  assert.equal(await wall.locator('.identity').count(), 0);
  await assertAccessible(screen);
  await picture(screen, 'screen-identity');

  // An operator's browser may have no JavaScript.
  const plain = await openPage(browser, `${instances[1].url}/ui/screens`, { javaScriptEnabled: false });
  const order = async (button, show = '') => {
    await plain.goto(`${instances[1].url}/ui/screens`);
    await plain.locator('#screens tbody tr', { hasText: 'Dock 3' }).locator('input').check();
    await plain.getByPlaceholder('warehouse/zone').fill(show);
    await plain.getByRole('button', { name: button, exact: true }).click();
    await plain.locator('main .notice').first().waitFor();
  };
  const loaded = screen.waitForEvent('load');
  await order('Reload');
  await loaded;
  await assertText(screen, '#workers', '12');
  await order('Show it', 'w-fleet/zone-b');
  await screen.waitForURL(/\/screen\/w-fleet\/zone-b\?name=Dock\+3&lang=en$/);
  await assertText(screen, '#workers', '12');
  await order('Show it', 'w-fleet?wall=dock');
  await screen.waitForURL(/\/screen\/w-fleet\?name=Dock\+3&lang=en&wall=dock$/);
  await assertRoot(screen, 'data-state', 'live');
  await assertText(operator, '#screens .more', '2 screens, none is dark'); // it is the same one all along
  for (const page of [plain, operator, wall, screen]) await closeCalm(page);
});

test('a screen does not go where its token does not let it, and says its code where it has no name', async () => {
  const server = await Server.start(undefined, { AUTH_TOKEN_SECRET: secret, OPERATOR_PASSWORD: 'a-long-password', RATE_LIMIT_TOKENS: '0' });
  const screen = await openPage(browser, `${server.url}/screen/w-mine/zone-a#token=${sign(['w-mine'])}`, { viewport: { width: 1080, height: 1920 } });
  const ask = (path, body) => fetch(`${server.url}/api/v1/screens${path}`, { method: body ? 'POST' : 'GET', body: body && JSON.stringify(body),
    headers: { 'Content-Type': 'application/json', Authorization: `Basic ${btoa('operator:a-long-password')}` } });
  let all = [];
  for (let i = 0; i < 100 && all.length === 0; i++) {
    await screen.waitForTimeout(100);
    all = (await (await ask('')).json()).screens;
  }
  const [{ id }] = all;
  assert.equal((await ask(`/${id}`, { do: 'show', show: 'w-other/zone-a' })).status, 200);
  assert.equal((await ask(`/${id}`, { do: 'identify' })).status, 200);
  await assertText(screen, '.identity', id.slice(0, 4));
  const { width } = await screen.locator('.identity bdi').boundingBox();
  assert.ok(width < 1080, `the code is ${width} wide`);
  assert.match(screen.url(), /\/w-mine\/zone-a#token=/);
  [{ warehouse: all }] = (await (await ask('')).json()).screens;
  assert.equal(all, 'w-mine');
  assert.deepEqual(screen.complaints.filter((text) => !/403/.test(text)), []);
  await screen.context().close();
  await server.kill();
});
