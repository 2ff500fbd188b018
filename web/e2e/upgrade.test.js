// A new version is rolled out under running screens: page and files are never of two versions, and all end up on one.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { assertRoot, openBrowser, openPage } from './browser.js';
import { Redis } from './redis.js';
import { Server } from './server.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const SCREENS = 4;

/** Builds the server of this repository with another style sheet, whose screens have a mark. */
async function buildNext(folder) {
  const sheet = join(root, 'web/assets/dist/screen.css');
  await writeFile(join(folder, 'screen.css'), `${await readFile(sheet, 'utf8')}:root{--next:1}`);
  await writeFile(join(folder, 'overlay.json'), JSON.stringify({ Replace: { [sheet]: join(folder, 'screen.css') } }));
  const program = join(folder, 'zonecast-next');
  await promisify(execFile)('go', ['build', '-overlay', join(folder, 'overlay.json'), '-o', program, './cmd/zonecast'], { cwd: join(root, 'backend') });
  return program;
}

/** Passes each connection on to any of the instances that take one, as a load balancer does. */
async function balance(instances) {
  const balancer = createServer((client) => {
    const order = [...instances].sort(() => Math.random() - 0.5);
    const dial = () => {
      const next = order.pop();
      if (!next) return client.destroy();
      const upstream = connect(Number(new URL(next.url).port), '127.0.0.1');
      upstream.once('connect', () => {
        client.pipe(upstream).pipe(client);
        client.once('close', () => upstream.destroy());
        upstream.once('close', () => client.destroy());
      });
      upstream.on('error', () => (upstream.connecting ? dial() : client.destroy()));
    };
    client.on('error', () => client.destroy());
    dial();
  });
  balancer.listen(0, '127.0.0.1');
  await once(balancer, 'listening');
  return { url: `http://127.0.0.1:${balancer.address().port}`, close: () => balancer.close() };
}

test('in a rolling upgrade no screen mixes two versions, and all have the new one within a minute', { timeout: 400_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'zonecast-next-'));
  const redis = await Redis.start();
  const instances = await Server.startPair(redis.url);
  const balancer = await balance(instances);
  const browser = await openBrowser();
  try {
    const program = await buildNext(folder);
    const pages = [];
    const mixed = [];
    for (let i = 0; i < SCREENS; i++) {
      const page = await openPage(browser, `${balancer.url}/screen/warehouse-1/zone-a`);
      page.on('request', (request) => /\.(js|css)$/.test(request.url()) && mixed.push(request.url()));
      pages.push(page);
    }
    await instances[0].publish('warehouse-1', 'zone-a', { event: 'ALERT', data: { id: 1, title: 'Dock 7 is blocked' } });
    const builds = () => Promise.all(pages.map((page) => page.evaluate(() => document.documentElement.dataset.build)));
    const [old] = await builds();
    for (let i = 0; i < instances.length; i++) {
      const { address } = instances[i];
      await instances[i].kill();
      instances[i] = await Server.start(address, { REDIS_URL: redis.url, NODE_NAME: `backend-${i + 1}` }, program);
      await new Promise((resolve) => setTimeout(resolve, 5_000));
    }
    const isNext = () => getComputedStyle(document.documentElement).getPropertyValue('--next') === '1';
    await Promise.all(pages.map((page) => page.waitForFunction(isNext, undefined, { timeout: 60_000 })));
    const [build, ...others] = await builds();
    assert.notEqual(build, old);
    assert.deepEqual(others, Array(SCREENS - 1).fill(build));
    assert.deepEqual(mixed, [], 'a screen asked for a file that may be of another version');
    for (const page of pages) {
      await assertRoot(page, 'data-state', 'waiting');
      await page.locator('#alerts .title', { hasText: 'Dock 7 is blocked' }).waitFor();
    }
    const page = await fetch(`${balancer.url}/assets/screen.0123456789.css`);
    assert.equal(page.status, 404, 'a hash of another version is answered with this one');
  } finally {
    await browser.close();
    balancer.close();
    await Promise.all(instances.map((instance) => instance.kill()));
    await redis.stop();
    await rm(folder, { recursive: true, force: true });
  }
});
