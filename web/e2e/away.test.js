// An instance whose Redis is away tells everybody who waits for news, over every transport.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { assertAccessible, assertRoot, assertText, openBrowser, openPage, picture } from './browser.js';
import { Redis } from './redis.js';
import { Server } from './server.js';

/** A busy machine, and the few seconds that Redis has to answer. In milliseconds. */
const SOON = 20_000;

let browser;

before(async () => {
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
});

test('a screen is not live while its instance is cut off from Redis, and is again when it is back', async () => {
  const redis = await Redis.start();
  const server = await Server.start(undefined, { REDIS_URL: redis.url });
  try {
    await server.publish('warehouse-1', 'zone-a', { event: 'SHIFT_SNAPSHOT', retain: true, data: { pickRate: 900, alerts: [] } });
    const page = await openPage(browser, `${server.url}/screen/warehouse-1/zone-a?stale=3600`);
    await assertRoot(page, 'data-state', 'live');

    const told = [];
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/ws?warehouse=warehouse-1`);
    const cutOff = /"event":"heartbeat".*"broker":"unavailable"/;
    told.push(new Promise((resolve) => socket.on('message', (frame) => cutOff.test(frame) && resolve('ws'))));
    const stream = await fetch(`${server.url}/sse?warehouse=warehouse-1`);
    told.push((async () => {
      let text = '';
      for await (const chunk of stream.body.pipeThrough(new TextDecoderStream())) if (cutOff.test((text += chunk))) return 'sse';
    })());
    const { cursor } = await (await fetch(`${server.url}/poll?warehouse=warehouse-1`)).json();
    told.push(fetch(`${server.url}/poll?cursor=${cursor}`).then(async (answer) => (cutOff.test(await answer.text()) ? 'poll' : 'a poll without it')));

    redis.freeze();
    await assertRoot(page, 'data-state', 'stale', SOON);
    await assertText(page, '#status-headline', 'Server is cut off');
    await assertAccessible(page);
    await picture(page, 'screen-cut-off');
    assert.deepEqual(await Promise.all(told), ['ws', 'sse', 'poll']);
    const late = await openPage(browser, `${server.url}/screen/warehouse-1/zone-a`);
    await assertText(late, '#status-headline', /Server is cut off|Connecting/);
    redis.thaw();
    await assertRoot(page, 'data-state', 'live', SOON);
    socket.close();
    await stream.body.cancel().catch(() => {});
  } finally {
    redis.thaw();
    await server.kill();
    await redis.stop();
  }
});
