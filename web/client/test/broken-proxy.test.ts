import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test, vi } from 'vitest';
import { type ClientOptions, createWebSocketClient, longPolling, serverSentEvents } from '@zonecast/client';
import { memory } from './memory.js';

/** A client of something that answers HTTP as the test says. */
async function clientOf(answer: (response: ServerResponse, asked: number) => void, options: Partial<ClientOptions>) {
  let asked = 0;
  const server = createServer((_, response) => answer(response, asked++));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const onError = vi.fn<(error: unknown) => void>();
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = createWebSocketClient({ url, backoffBase: 20, maxAttempts: 3, storage: memory(), onError, ...options });
  onTestFinished(() => {
    client.disconnect();
    server.closeAllConnections();
    server.close();
  });
  return { client, onError, asked: () => asked };
}

const json = (response: ServerResponse, value: unknown) =>
  response.setHeader('Content-Type', 'application/json').end(typeof value === 'string' ? value : JSON.stringify(value));

test.each([
  { what: 'a page of its own', give: '<h1>Welcome to the WiFi</h1>' },
  { what: 'nothing', give: '' },
  { what: 'half an answer', give: '{"cursor":"w' },
  { what: 'null', give: 'null' },
  { what: 'a cursor that is a number', give: '{"cursor":7,"messages":[]}' },
  { what: 'no messages', give: '{"cursor":"warehouse:w@e-1"}' },
  { what: 'messages that are no list', give: '{"cursor":"warehouse:w@e-1","messages":{}}' },
])('a poll that is answered with $what is a failed try, with an error that has a code', async ({ give }) => {
  const { client, asked } = await clientOf((response) => json(response, give), { transports: [longPolling] });
  await expect(client.connect()).rejects.toMatchObject({ code: 'gave_up', cause: { code: 'connect_failed' } });
  expect(asked()).toBeLessThanOrEqual(5);
});

test('polls whose answers come at once and bring nothing are paced', async () => {
  const { client, asked } = await clientOf((response) => json(response, { cursor: 'warehouse:other@e-1', messages: [7, {}, { event: 7 }] }), {
    transports: [longPolling],
    warehouse: 'w',
  });
  await client.connect();
  const before = asked();
  await new Promise((resolve) => setTimeout(resolve, 1000));
  expect(asked() - before).toBeLessThanOrEqual(21);
});

test('a stream with events that make no sense goes on, and one without end is left', async () => {
  const connected = { event: 'connected', data: { connectionId: 'c', rooms: [], heartbeat: 30_000, serverTime: 0, node: 'n' } };
  const { client, onError, asked } = await clientOf(
    (response, asked) => {
      response.setHeader('Content-Type', 'text/event-stream');
      response.write(`data: ${JSON.stringify(connected)}\n\n`);
      for (const event of ['data: nonsense', 'data:', ': a comment', 'id: 7', 'data: {"event":7}', 'what is this', 'data: [\ndata: ]'])
        response.write(`${event}\n\n`);
      response.write('event: heartbeat\ndata: {"event":"heartbeat",\ndata: "data":{"connections":1,"time":0}}\n\n');
      if (asked === 0) response.write(`data: ${'x'.repeat(3_000_000)}`);
    },
    { transports: [serverSentEvents] },
  );
  const beats: unknown[] = [];
  client.on('heartbeat', (data) => beats.push(data));
  await client.connect();
  await vi.waitFor(() => expect(beats).toEqual([{ connections: 1, time: 0 }, { connections: 1, time: 0 }]), 5000);
  expect(asked()).toBe(2);
  expect(client.state.name).toBe('connected');
  expect(onError.mock.calls.every(([error]) => (error as { code: string }).code === 'bad_frame')).toBe(true);
});

test('a stream that is closed with a reason ends with its code', async () => {
  const { client } = await clientOf(
    (response) => {
      response.setHeader('Content-Type', 'text/event-stream');
      response.end('event: close\ndata: {"code":4403,"reason":"not for you"}\n\n');
    },
    { transports: [serverSentEvents] },
  );
  await expect(client.connect()).rejects.toMatchObject({ code: 'forbidden', closeCode: 4403, message: expect.stringMatching(/not for you$/) });
});

test('a publish that somebody in between answers is tried again until its timeout', async () => {
  const { client } = await clientOf(
    (response, asked) => {
      if (asked === 0) json(response, { cursor: '', messages: [] });
      else if (asked % 2) response.writeHead(502).end('<h1>Bad gateway</h1>');
    },
    { transports: [longPolling], maxAttempts: Infinity },
  );
  await client.connect();
  await expect(client.publish({ warehouse: 'w', event: 'A' }, { timeout: 300 })).rejects.toMatchObject({ code: 'timeout' });
});
