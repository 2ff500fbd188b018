import { afterEach, expect, onTestFinished, test, vi } from 'vitest';
import { createClient, createWebSocketClient, webSocket, ZonecastError } from '@zonecast/client';
import { readOptions } from '../src/options.js';
import { FakeSocket } from './fake-socket.js';

afterEach(() => void vi.unstubAllGlobals());

const url = 'http://localhost:3001';
const long = 'w'.repeat(65);

test.each([
  { give: undefined, want: /^url is undefined: it must be like "http:\/\/localhost:3001"/ },
  { give: {}, want: /^url is undefined/ },
  { give: { url: 3001 }, want: /^url is 3001/ },
  { give: { url: 'localhost:3001' }, want: /^url is "localhost:3001": it must be like "http/ },
  { give: { url: 'localhost' }, want: /^url is "localhost"/ },
  { give: { url: '/ws' }, want: /^url is "\/ws"/ },
  { give: { url: 'http://' }, want: /^url is "http:\/\/"/ },
  { give: { url: 'ftp://localhost' }, want: /^url is "ftp:\/\/localhost"/ },
  { give: { url, autoReconnect: 'yes' }, want: /^autoReconnect is "yes": it must be true or false/ },
  { give: { url, keepOffsets: 1 }, want: /^keepOffsets is 1: it must be true or false/ },
  { give: { url, maxAttempts: -1 }, want: /^maxAttempts is -1: it must be a number of at least 0, like Infinity/ },
  { give: { url, maxAttempts: Number.NaN }, want: /^maxAttempts is NaN/ },
  { give: { url, backoffBase: 0 }, want: /^backoffBase is 0: it must be a number of at least 1, like 1000/ },
  { give: { url, backoffCap: 0 }, want: /^backoffCap is 0: it must be a number of at least 1, like 30000/ },
  { give: { url, connectTimeout: '5s' }, want: /^connectTimeout is "5s": it must be a number of at least 1, like 5000/ },
  { give: { url, requestTimeout: 0 }, want: /^requestTimeout is 0: it must be a number of at least 1, like 10000/ },
  { give: { url, transports: [] }, want: /^transports is : it must be like \[webSocket, longPolling\]/ },
  { give: { url, transports: null }, want: /^transports is null/ },
  { give: { url, transports: { 0: webSocket } }, want: /^transports is \[object Object\]/ },
  { give: { url, transports: webSocket }, want: /^transports is \[object Object\]/ },
  { give: { url, transports: ['websocket'] }, want: /^transports is websocket/ },
  { give: { url, parse: 'json' }, want: /^parse is "json": it must be of type function/ },
  { give: { url, maxRetries: 3 }, want: /^maxRetries is 3: it must be left out/ },
  { give: { url, transports: [webSocket, 'poll'] }, want: /^transports is / },
  { give: { url, token: 7 }, want: /^token is 7: it must be of type string or function/ },
  { give: { url, userId: {} }, want: /^userId is \[object Object\]: it must be of type string/ },
  { give: { url, onError: 'log' }, want: /^onError is "log": it must be of type function/ },
  { give: { url, debug: true }, want: /^debug is true: it must be of type function/ },
  { give: { url, WebSocket: 'ws' }, want: /^WebSocket is "ws": it must be of type function/ },
  { give: { url, storage: 'session' }, want: /^storage is "session": it must be of type object/ },
  { give: { url, probeInterval: 49 }, want: /^probeInterval is 49: it must be a number of at least 50, like 60000/ },
])('refuses $give', ({ give, want }) => {
  const make = () => createWebSocketClient({ WebSocket: FakeSocket, ...give } as never);
  const got = give === undefined ? () => createWebSocketClient(undefined as never) : make;
  expect(got).toThrow(ZonecastError);
  expect(got).toThrow(expect.objectContaining({ code: 'invalid_option', message: expect.stringMatching(want) }));
});

test.each([
  { give: { warehouse: '' }, want: /^warehouse is "": it must be 1 to 64 of A-Z a-z 0-9/ },
  { give: { warehouse: 7 }, want: /^warehouse is 7: it must be/ },
  { give: { warehouse: long }, want: /^warehouse is "w{65}": it must be/ },
  { give: { warehouse: 'w', zone: 'a b' }, want: /^zone is "a b"/ },
  { give: { warehouse: 'w', zone: null }, want: /^zone is null/ },
  { give: { zone: 'a' }, want: /^warehouse is undefined/ },
])('refuses the room $give', ({ give, want }) => {
  const make = () => createWebSocketClient({ url, WebSocket: FakeSocket, ...give } as never);
  expect(make).toThrow(expect.objectContaining({ code: 'invalid_room', message: expect.stringMatching(want) }));
});

test('createClient without transports is refused at once', () => {
  const want = expect.objectContaining({ code: 'invalid_option', message: expect.stringMatching(/^transports is undefined: it must be like/) });
  expect(() => createClient({ url } as never)).toThrow(want);
});

test('a WebSocket that is missing makes the attempt fail, and says what to pass', async () => {
  vi.stubGlobal('WebSocket', undefined);
  const client = createWebSocketClient({ url, autoReconnect: false, transports: [webSocket] });
  await expect(client.connect()).rejects.toMatchObject({
    code: 'connect_failed',
    message: expect.stringMatching(/no global WebSocket: pass the option WebSocket/),
  });
});

test('takes the global WebSocket', () => {
  vi.stubGlobal('WebSocket', FakeSocket);
  expect(readOptions({ url, transports: [webSocket] }).WebSocket).toBe(FakeSocket);
});

test.each([
  { give: 'http://localhost:3001', want: 'http://localhost:3001/' },
  { give: 'http://localhost:3001/', want: 'http://localhost:3001/' },
  { give: 'https://zonecast.example.com', want: 'https://zonecast.example.com/' },
  { give: 'wss://example.com/ws', want: 'https://example.com/' },
  { give: 'https://example.com/zonecast/', want: 'https://example.com/zonecast/' },
  { give: 'https://example.com/zonecast/sse', want: 'https://example.com/zonecast/' },
  { give: new URL('ws://[::1]:3001/?proxy=1#top'), want: 'http://[::1]:3001/?proxy=1' },
])('$give is the server $want', ({ give, want }) => {
  expect(readOptions({ url: give, transports: [webSocket] }).base.href).toBe(want);
});

test.each([
  { give: 'http://localhost:3001', want: 'ws://localhost:3001/ws?userId=u' },
  { give: 'https://example.com/zonecast', want: 'wss://example.com/zonecast/ws?userId=u' },
  { give: 'https://example.com/zonecast/ws?proxy=1', want: 'wss://example.com/zonecast/ws?proxy=1&userId=u' },
])('$give is dialled at $want', async ({ give, want }) => {
  const dialled = new Promise<string>((resolve) => {
    const WebSocket = class extends FakeSocket {
      constructor(address: string) {
        super(address);
        resolve(address);
      }
    };
    const client = createWebSocketClient({ url: give, userId: 'u', WebSocket });
    client.connect().catch(() => {});
    onTestFinished(() => client.disconnect());
  });
  expect(await dialled).toBe(want);
});
