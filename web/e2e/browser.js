// A headless Chromium whose pages report everything that went wrong in them.
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import assert from 'node:assert/strict';
import AxeBuilder from '@axe-core/playwright';
import { chromium } from 'playwright-core';

const screenshots = fileURLToPath(new URL('screenshots/', import.meta.url));
mkdirSync(screenshots, { recursive: true });

/** Without these Chromium calls home at each start. */
const quiet = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export async function openBrowser(args = []) {
  return chromium.launch({ executablePath: chromiumPath(), args: [...quiet, ...args] });
}

function chromiumPath() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    try {
      return execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim();
    } catch {}
  }
  throw new Error('there is no Chromium in the PATH: install it (Debian: apt-get install chromium) or name it in CHROMIUM');
}

/**
 * Opens a page, without its service worker: what that answers can't be changed by a test. `complaints` collects what the console, the scripts and the security policy
 * complain of.
 */
export async function openPage(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1920, height: 1080 }, colorScheme: 'dark', serviceWorkers: 'block', ...options });
  const page = await context.newPage();
  page.complaints = [];
  page.on('console', (message) => {
    if (message.type() === 'error') page.complaints.push(message.text());
  });
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  await page.goto(url);
  return page;
}

/** Closes a page and fails if it complained. A page that was cut off on purpose is emptied of complaints first. */
export async function closeCalm(page) {
  assert.deepEqual(page.complaints, []);
  await page.context().close();
}

/** Fails with the rules that the page breaks for those who can't see it or use a mouse. */
export async function assertAccessible(page) {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(' | ')}`);
  assert.deepEqual(found, []);
}

/** Waits until an element has a text; fails with the text that it has instead. */
export async function assertText(page, selector, want, timeout = 15_000) {
  const matches = (text) => (want instanceof RegExp ? want.test(text) : text === want);
  const deadline = Date.now() + timeout;
  for (;;) {
    const text = ((await page.locator(selector).first().textContent({ timeout })) ?? '').replace(/\s+/g, ' ').trim();
    if (matches(text)) return;
    if (Date.now() > deadline) assert.fail(`${selector} is ${JSON.stringify(text)}, want ${want}`);
    await page.waitForTimeout(100);
  }
}

/** Waits until the root element has the attribute with this value. */
export async function assertRoot(page, attribute, want, timeout = 30_000) {
  await page.locator(`html[${attribute}="${want}"]`).waitFor({ state: 'attached', timeout });
}

export async function picture(page, name) {
  await page.screenshot({ path: `${screenshots}${name}.png` });
}
