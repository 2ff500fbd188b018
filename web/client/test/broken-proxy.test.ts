import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { type ClientOptions, longPolling, serverSentEvents } from '@zonecast/client';
import { eventually, realClient } from './real-client.js';

/** A client of something that answers HTTP as the test says. */
async function clientOf(answer: (response: ServerResponse, asked: number) => void, options: Partial<ClientOptions>) {
  let asked = 0;
  const server = createServer((_, response) => answer(response, asked++));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { ...realClient({ url, backoffBase: 20, maxAttempts: 3, ...options }), asked: () => asked };
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
  const nothing = { cursor: 'warehouse:other@e-1', messages: [7, {}, { event: 7 }] };
  const options = { transports: [longPolling], warehouse: 'w' };
  const { client, asked } = await clientOf((response) => json(response, nothing), options);
  const started = performance.now();
  await client.connect();
  await eventually(() => expect(asked()).toBeGreaterThanOrEqual(20));
  // At least 50 ms between the starts of two; the first waits for nothing, and timers round down.
  expect(performance.now() - started).toBeGreaterThan(19 * 49);
});

test('a stream with events that make no sense goes on, and one without end is left', async () => {
  const data = { connectionId: 'c', rooms: [], heartbeat: 30_000, serverTime: 0, node: 'n' };
  const connected = { event: 'connected', data };
  const events = ['data: nonsense', 'data:', ': a comment', 'id: 7', 'data: {"event":7}', 'what?', 'data: [\ndata: ]'];
  const { client, onError, asked } = await clientOf(
    (response, asked) => {
      response.setHeader('Content-Type', 'text/event-stream');
      response.write(`data: ${JSON.stringify(connected)}\n\n`);
      for (const event of events) response.write(`${event}\n\n`);
      response.write('event: heartbeat\ndata: {"event":"heartbeat",\ndata: "data":{"connections":1,"time":0}}\n\n');
      if (asked === 0) response.write(`data: ${'x'.repeat(3_000_000)}`);
    },
    { transports: [serverSentEvents] },
  );
  const beats: unknown[] = [];
  client.on('heartbeat', (data) => beats.push(data));
  await client.connect();
  await eventually(() => expect(beats).toEqual([{ connections: 1, time: 0 }, { connections: 1, time: 0 }]));
  expect(asked()).toBe(2);
  expect(client.state.name).toBe('connected');
  expect(onError.mock.calls.every(([error]) => (error as { code: string }).code === 'bad_frame')).toBe(true);
});

test('a stream that is closed with a reason ends with its code', async () => {
  const { client } = await clientOf(
    (response) => {
      response.setHeader('Content-Type', 'text/event-stream');
      response.write('event: closing\ndata: {"event":"novelty"}\n\n'); // only the name as a whole counts
      response.end('event: close\ndata: {"code":4403,"reason":"not for you"}\n\n');
    },
    { transports: [serverSentEvents] },
  );
  await expect(client.connect()).rejects.toMatchObject({
    code: 'forbidden',
    closeCode: 4403,
    message: expect.stringMatching(/not for you$/),
  });
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
  const published = client.publish({ warehouse: 'w', event: 'A' }, { timeout: 300 });
  await expect(published).rejects.toMatchObject({ code: 'timeout' });
});

/** Answers polls with nothing, and gives each POST to the test. */
const answeringPosts = (post: (request: IncomingMessage, response: ServerResponse, body: string) => void) => async () => {
  const server = createServer(async (request, response) => {
    if (request.method === 'GET') {
      json(response, { cursor: '', messages: [] });
      return;
    }
    let body = '';
    for await (const chunk of request) body += String(chunk);
    post(request, response, body);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { client } = realClient({ url, transports: [longPolling] });
  await client.connect();
  return client;
};

test('a publish that the server refuses as a whole rejects at once with its sentence', async () => {
  const client = await answeringPosts((_, response) => {
    response.writeHead(413, { 'Content-Type': 'application/problem+json' });
    response.end('{"status":413,"code":"too_large","detail":"the body has more than 65536 bytes: send less"}');
  })();
  const published = client.publish({ warehouse: 'w', event: 'PHOTO', data: 'x'.repeat(100_000) }, { timeout: 60_000 });
  await expect(published).rejects.toMatchObject({ code: 'too_large', message: 'the body has more than 65536 bytes: send less' });
  expect(client.state.name).toBe('connected');
});

test('what is published first arrives first, however long its request takes', async () => {
  const arrived: unknown[] = [];
  const client = await answeringPosts((_, response, body) => {
    const { id, data } = JSON.parse(body) as { id: number; data: { data: unknown } };
    const arrive = () => {
      arrived.push(data.data);
      json(response, { event: 'ack', id, data: { room: 'warehouse:w', offset: `e-${arrived.length}` } });
    };
    if (data.data === 'raised') setTimeout(arrive, 200);
    else arrive();
  })();
  await Promise.all(['raised', 'cleared'].map((data) => client.publish({ warehouse: 'w', event: 'STATE', data })));
  expect(arrived).toEqual(['raised', 'cleared']);
});

test('a refusal says what the server said, ends what would be refused again, and names what each transport met', async () => {
  const refuse = (status: number, problem: object) => (response: ServerResponse) => {
    response.writeHead(status, { 'Content-Type': 'application/problem+json' });
    response.end(JSON.stringify(problem));
  };
  const invalid = refuse(400, { code: 'invalid_offset', detail: 'the cursor is of another server' });
  const { client, asked } = await clientOf(invalid, { transports: [longPolling, serverSentEvents] });
  await expect(client.connect()).rejects.toMatchObject({
    code: 'invalid_offset',
    message: expect.stringMatching(/by poll: answered 400: the cursor is of another server$/),
  });
  expect(asked()).toBe(1);

  const full = await clientOf(refuse(500, { detail: 'oops' }), { transports: [longPolling, serverSentEvents], autoReconnect: false });
  await expect(full.client.connect()).rejects.toMatchObject({
    message: expect.stringMatching(/by sse: answered 500$/),
    errors: [{ message: expect.stringMatching(/by poll/) }, { message: expect.stringMatching(/by sse/) }],
  });
});
