// EventSource without our client, as pages and programs of others have it: the browser's own, one that is written in
// JavaScript and resumes by a query parameter, and one for Node. Between them and the server are the rules for streams
// of the repository's nginx.conf.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { EventSource as NodeEventSource } from 'eventsource';
import { openBrowser } from './browser.js';
import { Nginx } from './nginx.js';
import { Redis } from './redis.js';
import { Server } from './server.js';

const require = createRequire(import.meta.url);
const ROOM = '/sse?warehouse=w&zone=a';

let browser;
let config;

before(async () => {
  browser = await openBrowser();
  config = await readFile(fileURLToPath(new URL('../../nginx.conf', import.meta.url)), 'utf8');
});
after(() => browser?.close());

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(what, isSo) {
  for (const deadline = Date.now() + 60_000; !(await isSo()); await pause(50)) assert.ok(Date.now() < deadline, await what());
}

/** A block of nginx.conf, from its first line to the brace that ends it. */
function block(begin) {
  const at = config.indexOf(begin);
  assert.ok(at >= 0, `nginx.conf has no ${begin}`);
  const indent = /[ ]*$/.exec(config.slice(0, at))[0];
  return config.slice(at, config.indexOf(`\n${indent}}`, at)) + `\n}\n`;
}

/** nginx before these instances, with the repository's own rules for /sse. */
async function frontDoor(t, servers) {
  const maps = ['map "$request_method $http_accept"', 'map $uri $accept', 'map $request_id $come_back_after'].map(block);
  const instances = servers.map(({ address }) => `server ${address} max_fails=2 fail_timeout=2s;`);
  const headers = 'proxy_connect_timeout 300ms; proxy_set_header Accept $accept; location = /page { default_type text/html; return 200 "<!doctype html>"; }';
  const locations = ['location = /sse', 'location = /eventsource', 'location @come_back'].map(block);
  const upstream = `upstream streams { zone streams 64k; least_conn; ${instances.join(' ')} }`;
  const nginx = await Nginx.start([headers, ...locations].join('\n'), [...maps, upstream].join('\n'));
  t.after(() => nginx.stop());
  return nginx.url;
}

/** What runs in a page, or here: opens a stream, and notes the data of ticks, gaps, and the end of the source. */
function follow(EventSource, url) {
  const heard = [];
  const source = new EventSource(url);
  source.onmessage = ({ data }) => {
    const frame = JSON.parse(data);
    if (frame.event === 'TICK' || frame.event === 'STATE') heard.push(frame.data);
    else if (frame.event === 'gap') heard.push('gap');
  };
  return { heard, state: () => source.readyState, close: () => source.close() };
}

/** Each opens a stream in its own way. */
const sources = {
  'the EventSource of Chromium': (t, url) => inPage(t, url),
  'event-source-polyfill, which resumes by a query parameter,': async (t, url) =>
    inPage(t, url, await readFile(require.resolve('event-source-polyfill'), 'utf8')),
  'the package eventsource in Node': async (t, url) => {
    const followed = follow(NodeEventSource, url + ROOM);
    t.after(followed.close);
    return { heard: async () => followed.heard, state: async () => followed.state() };
  },
};

async function inPage(t, url, polyfill) {
  const page = await (await browser.newContext()).newPage();
  t.after(() => page.context().close());
  await page.goto(`${url}/page`);
  if (polyfill) await page.addScriptTag({ content: polyfill });
  await page.evaluate(`globalThis.followed = (${follow})(${polyfill ? 'EventSourcePolyfill' : 'EventSource'}, ${JSON.stringify(ROOM)})`);
  return { heard: () => page.evaluate(() => followed.heard), state: () => page.evaluate(() => followed.state()) };
}

for (const [what, open] of Object.entries(sources)) {
  test(`${what} comes back from a drain and an outage, and misses nothing`, async (t) => {
    const redis = await Redis.start();
    t.after(() => redis.stop());
    const settings = (n) => ({ REDIS_URL: redis.url, NODE_NAME: `backend-${n}`, DRAIN_DELAY: '200ms', DRAIN_TIMEOUT: '1s' });
    const servers = await Promise.all([1, 2].map((n) => Server.start(undefined, settings(n))));
    t.after(() => Promise.all(servers.map((server) => server.kill())));
    const url = await frontDoor(t, servers);
    await servers[0].publish('w', 'a', { event: 'STATE', data: 'retained', retain: true });
    const source = await open(t, url);
    const want = ['retained'];
    const heard = (why) =>
      until(async () => `${why}: heard ${JSON.stringify(await source.heard())}, state ${await source.state()}`,
        async () => (await source.heard()).length >= want.length);
    const publish = async (by) => {
      for (let n = 0; n < 5; n++) {
        await by.publish('w', 'a', { event: 'TICK', data: want.length });
        want.push(want.length);
      }
    };
    await heard('at the beginning');
    await publish(servers[0]);
    await heard('while nothing happens');

    // A rolling restart.
    for (const n of [0, 1]) {
      const leaving = servers[n].end();
      await publish(servers[1 - n]);
      await leaving;
      await publish(servers[1 - n]);
      servers[n] = await Server.start(servers[n].address, settings(n + 1));
      await heard('after a drain');
    }

    // Nobody is there: with the 502 of a proxy an EventSource would end for good.
    await Promise.all(servers.map((server) => server.kill()));
    await pause(4000);
    servers[0] = await Server.start(servers[0].address, settings(1));
    await publish(servers[0]);
    await heard('after an outage');
    assert.deepEqual(await source.heard(), want);
  });

  test(`${what} waits while the server is full, and is let in when there is room`, async (t) => {
    const server = await Server.start(undefined, { MAX_CONNECTIONS: '1' });
    t.after(() => server.kill());
    const url = await frontDoor(t, [server]);
    const first = follow(NodeEventSource, server.url + ROOM);
    t.after(first.close);
    await until(() => 'the first one is not connected', () => first.state() === 1);
    const source = await open(t, url);
    await pause(6000); // it tries now and then
    assert.notEqual(await source.state(), 2, 'it has given up');
    first.close();
    let sent = 0;
    await until(() => 'it is not let in', async () => {
      await server.publish('w', 'a', { event: 'TICK', data: sent++ });
      return (await source.heard()).length > 0;
    });
    assert.ok(!(await source.heard()).includes('gap'));
  });
}
