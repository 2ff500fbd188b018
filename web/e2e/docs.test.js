// The pages of the API that the server itself serves: legible at a desk and on a phone.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertAccessible, closeCalm, openBrowser, openPage, picture } from './browser.js';
import { Server } from './server.js';

let browser;
let server;

before(async () => {
  [browser, server] = await Promise.all([openBrowser(), Server.start()]);
});

after(async () => {
  await browser?.close();
  await server?.kill();
});

for (const [what, viewport] of [['desk', { width: 1440, height: 900 }], ['phone', { width: 360, height: 740 }]])
  test(`the reference of the API is legible on a ${what}`, async () => {
    const page = await openPage(browser, `${server.url}/docs/`, { viewport });
    const { sideways, tallest } = await page.evaluate(() => ({
      sideways: document.documentElement.scrollWidth - innerWidth,
      tallest: Math.max(...[...document.querySelectorAll('td code')].map((path) => path.getClientRects().length)),
    }));
    assert.ok(sideways <= 0, `it is ${sideways} px too wide`);
    assert.ok(tallest <= 3, `a path takes ${tallest} lines`);
    await assertAccessible(page);
    await picture(page, `docs-${what}`);
    await closeCalm(page);
  });
