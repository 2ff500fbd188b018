import { request } from 'node:http';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { longPolling, serverSentEvents, webSocket } from '@zonecast/client';
import { eventually, realClient } from './real-client.js';
import { RealServer } from './real-server.js';

/** The URL of React Native: its parts can be read, and that is all. */
class ReadOnlyURL {
  readonly #url: URL;
  constructor(text: string) {
    this.#url = new NativeURL(text);
  }
  get href() {
    return this.#url.href;
  }
  get host() {
    return this.#url.host;
  }
  get protocol() {
    return this.#url.protocol;
  }
  toString() {
    return this.#url.href;
  }
}
const NativeURL = URL;

/** Its fetch: answers come as a whole, and have no body to read from. */
const wholeFetch = (address: string, { method, headers, body, signal }: Record<string, any>) =>
  new Promise((resolve, reject) => {
    const asked = request(address, { method, headers, signal }, async (answer) => {
      let text = '';
      for await (const part of answer) text += part;
      resolve({
        ok: answer.statusCode === 200,
        status: answer.statusCode,
        headers: { get: (name: string) => answer.headers[name.toLowerCase()] ?? null },
        text: async () => text,
        json: async () => JSON.parse(text),
      });
    });
    asked.on('error', reject);
    asked.end(body ?? undefined);
  });

let server: RealServer;
beforeEach(async () => {
  server = await RealServer.start();
  vi.stubGlobal('fetch', wholeFetch);
  vi.stubGlobal('URL', ReadOnlyURL);
  for (const name of ['crypto', 'TextDecoder', 'BroadcastChannel', 'ReadableStream']) vi.stubGlobal(name, undefined);
});
afterEach(async () => {
  vi.unstubAllGlobals();
  await server.stop();
});

test.each([webSocket, longPolling])('where React Native lacks what browsers have, $name works', async (transport) => {
  const { client, onError } = realClient({ url: `${server.url}/?app=handheld`, warehouse: 'w', userId: 'ann b', transports: [transport] });
  const heard: unknown[] = [];
  client.on('SCAN', (data) => heard.push(data));
  await client.connect();
  await client.subscribe('w', 'dock');
  for (let n = 0; n < 3; n++) await client.publish({ warehouse: 'w', zone: 'dock', event: 'SCAN', data: n });
  await eventually(() => expect(heard).toEqual([0, 1, 2]));
  expect(onError).not.toHaveBeenCalled();
});

test('its fetch, which has no streams, is named where Server-Sent Events are wanted', async () => {
  const { client } = realClient({ url: server.url, warehouse: 'w', transports: [serverSentEvents], autoReconnect: false });
  await expect(client.connect()).rejects.toMatchObject({
    message: expect.stringMatching(/by sse: not dialled: no global ReadableStream$/),
  });
});
