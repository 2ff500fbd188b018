// A proxy shows the server below a path: pages, streams, signing in and out work there, and nothing outside of it is asked
// for. Both ways of proxies are tried: one takes the path off and names it, the other passes it on.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { assertText, closeCalm, openBrowser, openPage } from './browser.js';
import { Nginx } from './nginx.js';
import { Server } from './server.js';

/** A line of a password file: ann, whose password is "correct horse". */
const ann = 'ann:$2b$10$abcdefghijklmnopqrstuu23JPZtHcGhwXSF41f93o/7vBdDut3Xu:admin\n';
const stream = 'proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; proxy_buffering off;';

let browser;
let folder;
const servers = [];

/** Each starts a server and returns the locations of its proxy. */
const proxies = {
  'the proxy takes the path off and says so': async (settings) => {
    const server = await Server.start('127.0.0.1:0', { ...settings, TRUSTED_PROXIES: '127.0.0.0/8' });
    const head = 'proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Prefix /apps/push;';
    return [
      server,
      `location /apps/push/ { proxy_pass http://${server.address}/; ${head} proxy_buffering off; }
       location /apps/push/ws { proxy_pass http://${server.address}/ws; ${head} ${stream} }`,
    ];
  },
  'the proxy passes the path on, and BASE_PATH names it': async (settings) => {
    const server = await Server.start('127.0.0.1:0', { ...settings, BASE_PATH: '/apps/push' });
    const head = 'proxy_set_header Host $http_host;';
    return [
      server,
      `location /apps/push/ { proxy_pass http://${server.address}; ${head} proxy_buffering off; }
       location /apps/push/ws { proxy_pass http://${server.address}; ${head} ${stream} }`,
    ];
  },
};

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'zonecast-prefix-'));
  await writeFile(join(folder, 'operators'), ann);
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  for (const server of servers) await (server.kill ?? server.stop).call(server);
  await rm(folder, { recursive: true, force: true });
});

for (const [name, start] of Object.entries(proxies)) {
  test(`below a path: ${name}`, async () => {
    const [server, locations] = await start({ OPERATORS_FILE: join(folder, 'operators') });
    const nginx = await Nginx.start(`location / { return 404; } ${locations}`);
    servers.push(server, nginx);
    const base = `${nginx.url}/apps/push`;

    const page = await openPage(browser, `${base}/`);
    await page.waitForURL(`${base}/ui/login?next=%2Fui%2F`);
    await page.getByLabel('Name').fill('ann');
    await page.getByLabel('Password').fill('correct horse');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.waitForURL(`${base}/ui/`);
    await assertText(page, '#link', 'live');
    const [cookie] = await page.context().cookies();
    assert.equal(cookie.path, '/apps/push/');

    await page.getByRole('link', { name: 'Audit log' }).click();
    await page.waitForURL(`${base}/ui/audit`);
    await page.getByRole('link', { name: 'Overview' }).click();
    await page.waitForURL(`${base}/ui/`);
    await page.getByRole('link', { name: 'Wall screens' }).click();
    await page.waitForURL(`${base}/screen/`);

    await page.goto(`${base}/screen/warehouse-1/zone-a`);
    await page.waitForFunction(() => document.documentElement.dataset.state !== 'connecting');
    await server.publish('warehouse-1', 'zone-a', { event: 'ALERT', data: { id: '1', severity: 'warning', title: 'Below a path' } });
    await page.getByText('Below a path').first().waitFor();

    await page.goto(`${base}/ui/`);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.waitForURL(`${base}/ui/login?reason=out`);
    assert.deepEqual(await page.context().cookies(), []);
    await closeCalm(page);
  });
}
