// What a handheld goes through in a day, scripted, in a real Chromium over each transport: a network that is gone, a sleep past
// the token's expiry, a restart, a path prefix. Messages are published all the while, and counted.
//
//     page ─▶ wire ─▶ nginx ─▶ an instance ─▶ Redis ◀─ another instance ◀─ what is published
import { chmod, copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openBrowser } from './browser.js';
import { Nginx } from './nginx.js';
import { Redis } from './redis.js';
import { Server } from './server.js';
import { secret, sign } from './token.js';
import { Wire } from './wire.js';

/** How long each takes in the field, in milliseconds. A test takes shorter ones. */
export const fieldLengths = { offline: 170_000, sleep: 120_000, tokenLife: 30_000, restart: 50_000, prefix: 20_000 };

const transports = ['webSocket', 'longPolling', 'serverSentEvents'];

/** Between two messages of a room; a room keeps 1000. */
const PUBLISH_INTERVAL = 200;

/** How long a client may take to come back and to hear everything, in milliseconds. */
const RETURN = 60_000;

/**
 * Runs all of them at once. Each is reported as { run, transport, back, heard, published, inOrder }: how soon it was connected again,
 * in milliseconds, how many messages it heard of how many, and whether in order, each once and without a gap.
 */
export async function runAll(lengths) {
  const cleanups = [];
  const keep = (thing, end) => {
    cleanups.push(() => end(thing));
    return thing;
  };
  try {
    const redis = keep(await Redis.start(), (redis) => redis.stop());
    const publisher = keep(await Server.start(undefined, { REDIS_URL: redis.url, NODE_NAME: 'publisher' }), (server) => server.kill());
    const site = keep(await mkdtemp(join(tmpdir(), 'zonecast-field-')), (folder) => rm(folder, { recursive: true, force: true }));
    await chmod(site, 0o755); // nginx reads it as another user
    await copyFile(fileURLToPath(new URL('../client/dist/esm/index.js', import.meta.url)), join(site, 'client.js'));
    await writeFile(join(site, 'empty.html'), '<!doctype html><title>A page of the field</title>');

    /** An instance behind nginx and a wire. */
    const startSite = async (NODE_NAME, settings, path = '') => {
      const all = { REDIS_URL: redis.url, NODE_NAME, ...settings };
      const instance = { server: await Server.start(undefined, all) };
      cleanups.push(() => instance.server.kill());
      const head = 'proxy_set_header Host $http_host; proxy_buffering off;';
      const upgrade = 'proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;';
      const to = `proxy_pass http://${instance.server.address}`;
      const locations = `location ${path}/ws { ${to}/ws; ${head} ${upgrade} } location ${path}/ { ${to}/; ${head} } location /site/ { alias ${site}/; }`;
      const nginx = keep(await Nginx.start(locations), (nginx) => nginx.stop());
      const wire = keep(await Wire.to(nginx.port), (wire) => wire.remove());
      const restart = async (away) => {
        await instance.server.end();
        await pause(away);
        instance.server = await Server.start(instance.server.address, all);
      };
      return { url: wire.url, path, wire, restart };
    };
    const open = async () => keep(await openBrowser(), (browser) => browser.close());
    const browser = await open();

    const runs = {
      async offline() {
        const site = await startSite('offline', {});
        return over(browser, site, async (clients) => {
          for (const { context } of clients) await context.setOffline(true);
          const away = site.wire.goAway(lengths.offline);
          await pause(1000);
          for (const { state } of clients) if ((await state()) === 'connected') throw new Error('offline for a second, and still "connected"');
          await away;
          for (const { context } of clients) await context.setOffline(false);
        });
      },
      async sleep() {
        const site = await startSite('sleep', { AUTH_TOKEN_SECRET: secret, AUTH_LEEWAY: '0s' });
        const sleeper = await open();
        const token = () => sign(['w'], lengths.tokenLife / 1000);
        return over(sleeper, site, () => sleep(sleeper, lengths.sleep), token);
      },
      async restart() {
        const site = await startSite('restart', { DRAIN_TIMEOUT: '2s' });
        return over(browser, site, () => site.restart(lengths.restart));
      },
      async prefix() {
        const site = await startSite('prefix', {}, '/apps/push');
        return over(browser, site, () => site.wire.goAway(lengths.prefix));
      },
    };

    /** Lets something happen to a client over each transport. */
    const over = async (browser, site, happen, token) => {
      const clients = await Promise.all(transports.map((transport) => connect(browser, site, transport, `${new URL(site.url).port}-${transport}`, token)));
      let isOver = false;
      const published = transports.map(() => 0);
      const publishing = (async () => {
        for (; !isOver; await pause(PUBLISH_INTERVAL))
          await Promise.all(clients.map(({ zone }, at) => publisher.publish('w', zone, { event: 'TICK', data: published[at]++ })));
      })();
      await pause(1000);
      await happen(clients);
      const returned = performance.now();
      const back = await Promise.all(
        clients.map(async ({ state }) => {
          while ((await state()) !== 'connected' && performance.now() - returned < RETURN) await pause(20);
          return performance.now() - returned;
        }),
      );
      await pause(1000);
      isOver = true;
      await publishing;
      return Promise.all(
        clients.map(async ({ transport, heard }, at) => {
          const all = published[at];
          for (const late = performance.now() + RETURN; (await heard()).length < all && performance.now() < late; ) await pause(100);
          const got = await heard();
          const inOrder = got.length === all && got.every((n, place) => n === place);
          return { transport, back: Math.round(back[at]), heard: got.length, published: all, inOrder };
        }),
      );
    };

    const rows = await Promise.all(Object.entries(runs).map(async ([run, start]) => (await start()).map((row) => ({ ...row, run }))));
    return rows.flat();
  } finally {
    for (const end of cleanups.reverse()) await end();
  }
}

/** Opens a page with a client that notes what it hears, gaps included. */
async function connect(browser, { url, path }, transport, zone, token) {
  const context = await browser.newContext();
  const page = await context.newPage();
  if (token) await page.exposeFunction('freshToken', token);
  // A browser on a busy machine may lose a connection that it has not used for seconds.
  for (let tries = 5; ; tries--) {
    try {
      await page.goto(`${url}/site/empty.html`);
      await page.evaluate(() => import('/site/client.js'));
      break;
    } catch (error) {
      if (tries === 1) throw error;
    }
  }
  await page.evaluate(
    async ([path, zone, transport]) => {
      const zonecast = await import('/site/client.js');
      globalThis.heard = [];
      globalThis.client = zonecast.createWebSocketClient({
        url: location.origin + path,
        warehouse: 'w',
        zone,
        transports: [zonecast[transport]],
        ...(globalThis.freshToken && { token: () => freshToken() }),
      });
      client.on('TICK', (n) => heard.push(n));
      client.on('gap', (gap) => heard.push(gap));
      await client.connect();
    },
    [path, zone, transport],
  );
  return { context, transport, zone, heard: () => page.evaluate(() => heard), state: () => page.evaluate(() => client.state.name) };
}

/** Puts the whole browser to sleep, as the lid of a laptop does: none of its processes runs. */
async function sleep(browser, ms) {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  for (const { id } of processInfo) process.kill(id, 'SIGSTOP');
  await pause(ms);
  for (const { id } of processInfo) process.kill(id, 'SIGCONT');
}
