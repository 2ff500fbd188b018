import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { assertAccessible, assertText, closeCalm, openBrowser, openPage, picture } from './browser.js';
import { Server } from './server.js';

/** A line of a password file: ann, whose password is "correct horse". */
const ann = 'ann:$2b$10$abcdefghijklmnopqrstuu23JPZtHcGhwXSF41f93o/7vBdDut3Xu:';

let browser;
let server;
let folder;
let operators;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'zonecast-signin-'));
  operators = join(folder, 'operators');
  await writeFile(operators, `${ann}operator@warehouse-1,warehouse-2\n`);
  server = await Server.start('127.0.0.1:0', {
    OPERATORS_FILE: operators,
    OIDC_ISSUER: 'http://127.0.0.1:9',
    OIDC_CLIENT_ID: 'zonecast',
    OIDC_NAME: 'Example ID',
  });
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  await server?.kill();
  await rm(folder, { recursive: true, force: true });
});

async function signIn(page, password = 'correct horse') {
  await page.getByLabel('Name').fill('ann');
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

for (const javaScriptEnabled of [true, false]) {
  test(`an operator signs in and out ${javaScriptEnabled ? 'with' : 'without'} JavaScript`, async () => {
    const page = await openPage(browser, `${server.url}/ui/?filter=w`, { javaScriptEnabled });
    await page.waitForURL('**/ui/login?next=%2Fui%2F%3Ffilter%3Dw');
    await signIn(page, 'wrong');
    await assertText(page, '[role=alert]', /name or the password is wrong/);
    assert.equal(await page.getByLabel('Name').inputValue(), 'ann');
    page.complaints = []; // the browser complains of the 401
    await signIn(page);
    await page.waitForURL('**/ui/?filter=w');
    await assertText(page, '.operator span', 'ann');
    await assertText(page, '.limit', 'Rooms of warehouse-1, warehouse-2 only; totals are of all.');
    const cookies = await page.context().cookies();
    assert.deepEqual(
      cookies.map(({ name, httpOnly, sameSite, expires }) => ({ name, httpOnly, sameSite, expires })),
      [{ name: 'zonecast_session', httpOnly: true, sameSite: 'Lax', expires: -1 }],
    );
    if (javaScriptEnabled) {
      await assertText(page, '#link', 'live');
      await assertAccessible(page);
      await picture(page, 'dashboard-signed-in');
    }
    await page.getByRole('button', { name: 'Sign out' }).click();
    await assertText(page, '[role=status]', 'You have signed out.');
    await page.goto(`${server.url}/ui/`);
    await page.waitForURL('**/ui/login?next=%2Fui%2F');
    await closeCalm(page);
  });
}

test('the sign-in page is readable in both themes, on a phone, and by those who do not see it', async () => {
  for (const colorScheme of ['light', 'dark']) {
    const page = await openPage(browser, `${server.url}/ui/login?reason=ended`, { colorScheme, viewport: { width: 1440, height: 900 } });
    await assertAccessible(page);
    await picture(page, `signin-${colorScheme}`);
    await signIn(page, 'wrong');
    await assertText(page, '[role=alert]', /wrong/);
    await assertAccessible(page);
    await picture(page, `signin-wrong-${colorScheme}`);
    await page.setViewportSize({ width: 360, height: 640 });
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'the page is wider than a phone');
    await picture(page, `signin-phone-${colorScheme}`);
    page.complaints = [];
    await closeCalm(page);
  }
});

test('an OpenID provider that is away is said so', async () => {
  const page = await openPage(browser, `${server.url}/ui/login`);
  await page.getByRole('link', { name: 'Sign in with Example ID' }).click();
  await assertText(page, '[role=alert]', /OpenID provider did not sign you in: try again/);
  page.complaints = []; // the browser complains of the 503
  await closeCalm(page);
});

test('an open dashboard whose session ends leads to the sign-in page and back', async () => {
  const page = await openPage(browser, `${server.url}/ui/?filter=w`);
  await signIn(page);
  await assertText(page, '#link', 'live');
  await writeFile(operators, `${ann}viewer\n`);
  await page.waitForURL('**/ui/login?reason=ended&next=%2Fui%2F%3Ffilter%3Dw', { timeout: 30_000 });
  await assertText(page, '[role=status]', 'Your session has ended: sign in again.');
  page.complaints = []; // the browser complains of the 401
  await signIn(page);
  await page.waitForURL('**/ui/?filter=w');
  await assertText(page, '#link', 'live');
  await closeCalm(page);
});
