import { afterEach, expect, test, vi } from 'vitest';
import { createWebSocketClient, ZonecastError } from '@zonecast/client';
import { readOptions } from '../src/options.js';
import { FakeSocket } from './fake-socket.js';

afterEach(() => void vi.unstubAllGlobals());

const url = 'http://localhost:3001';
const long = 'w'.repeat(65);

test.each([
  { give: undefined, want: /options are missing.*url: "http:\/\/localhost:3001"/ },
  { give: {}, want: /^url is undefined: it must be a string: write it like "http/ },
  { give: { url: 3001 }, want: /^url is 3001: it must be a string/ },
  { give: { url: 'localhost:3001' }, want: /^url "localhost:3001" has no scheme that is http.*write it like "http/ },
  { give: { url: 'localhost' }, want: /^url "localhost" is not an absolute address.*write it like "http/ },
  { give: { url: '/ws' }, want: /^url "\/ws" is not an absolute address/ },
  { give: { url: 'ftp://localhost' }, want: /^url "ftp:\/\/localhost" has no scheme that is http/ },
  { give: { url, zone: 'a' }, want: /^zone needs a warehouse/ },
  { give: { url, userId: 'ü'.repeat(65) }, want: /it must be at most 128 bytes in UTF-8/ },
  { give: { url, userId: 7 }, want: /^userId is 7: it must be a non-empty string/ },
  { give: { url, token: {} }, want: /^token is object: it must be a string or a function/ },
  { give: { url, token: '' }, want: /^token is "": it must be/ },
  { give: { url, autoReconnect: 'yes' }, want: /^autoReconnect is "yes": it must be true or false/ },
  { give: { url, maxAttempts: -1 }, want: /^maxAttempts is -1: it must be a number of at least 0/ },
  { give: { url, maxAttempts: Number.NaN }, want: /^maxAttempts is NaN/ },
  { give: { url, backoffBase: 0 }, want: /^backoffBase is 0: it must be a number of at least 1/ },
  { give: { url, connectTimeout: '5s' }, want: /^connectTimeout is "5s"/ },
  { give: { url, WebSocket: {} }, want: /^WebSocket is object: it must be a constructor/ },
  { give: { url, onError: true }, want: /^onError is boolean: it must be a function/ },
])('refuses $give', ({ give, want }) => {
  const make = () => createWebSocketClient({ WebSocket: FakeSocket, ...give } as never);
  const got = give === undefined ? () => createWebSocketClient(undefined as never) : make;
  expect(got).toThrow(ZonecastError);
  expect(got).toThrow(expect.objectContaining({ code: 'invalid_option', message: expect.stringMatching(want) }));
});

test.each([
  { give: { warehouse: '' }, want: /^warehouse is missing/ },
  { give: { warehouse: 7 }, want: /^warehouse is number: give its name as a string/ },
  { give: { warehouse: long }, want: /^warehouse name has 65 characters: at most 64/ },
  { give: { warehouse: 'w', zone: 'a b' }, want: /^zone name "a b": only A-Z/ },
  { give: { warehouse: 'w', zone: null }, want: /^zone is null/ },
])('refuses the room $give', ({ give, want }) => {
  const make = () => createWebSocketClient({ url, WebSocket: FakeSocket, ...give } as never);
  expect(make).toThrow(expect.objectContaining({ code: 'invalid_room', message: expect.stringMatching(want) }));
});

test('asks for a WebSocket where there is none', () => {
  vi.stubGlobal('WebSocket', undefined);
  expect(() => createWebSocketClient({ url })).toThrow(/no global WebSocket here: pass one as the option WebSocket/);
});

test('takes the global WebSocket', () => {
  vi.stubGlobal('WebSocket', FakeSocket);
  expect(readOptions({ url }).WebSocket).toBe(FakeSocket);
});

test.each([
  { give: 'http://localhost:3001', want: 'ws://localhost:3001/ws' },
  { give: 'http://localhost:3001/', want: 'ws://localhost:3001/ws' },
  { give: 'https://zonecast.example.com', want: 'wss://zonecast.example.com/ws' },
  { give: 'wss://example.com/ws', want: 'wss://example.com/ws' },
  { give: 'https://example.com/zonecast/', want: 'wss://example.com/zonecast/ws' },
  { give: new URL('ws://[::1]:3001/?proxy=1#top'), want: 'ws://[::1]:3001/ws?proxy=1' },
])('$give is $want', ({ give, want }) => {
  expect(readOptions({ url: give, WebSocket: FakeSocket }).endpoint.href).toBe(want);
});
