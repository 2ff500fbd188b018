import { expect, onTestFinished, test } from 'vitest';
import { type ClientOptions, webSocket } from '@zonecast/client';
import { FaultyServer, greet } from './faulty-server.js';
import { realClient } from './real-client.js';

function clientOf(server: FaultyServer, options: Partial<ClientOptions> = {}) {
  onTestFinished(() => server.stop());
  return realClient({ url: server.url, transports: [webSocket], backoffBase: 1, ...options });
}

test('frames that make no sense are reported, and the connection goes on', async () => {
  const nonsense = ['', 'nonsense', '{', '[]', 'null', '7', '"x"', '{"event":7}', '{"event":""}', '{"data":{}}'];
  const server = await FaultyServer.start((socket) => {
    greet(socket);
    for (const text of nonsense) socket.send(text);
    socket.send(Buffer.from([0xff, 0x00]), { binary: true });
    socket.send('{"event":"ack"}');
    socket.send('{"event":"ack","id":"1","data":{}}');
    socket.send('{"event":"error","id":7}');
    socket.send('{"event":"gap","data":7}');
    socket.send('{"event":"A","room":["warehouse:w"],"offset":{}}');
    socket.send('{"event":"heartbeat","data":{"connections":1,"time":0}}');
  });
  const { client, onError } = clientOf(server);
  const beat = new Promise((resolve) => client.once('heartbeat', resolve));
  await client.connect();
  await beat;
  expect(client.state.name).toBe('connected');
  expect(onError.mock.calls.map(([error]) => (error as { code: string }).code)).toEqual(
    Array.from({ length: nonsense.length + 1 }, () => 'bad_frame'),
  );
});

test('a server that falls silent is left', async () => {
  const server = await FaultyServer.start((socket) => greet(socket, 50), (socket) => greet(socket));
  const { client } = clientOf(server);
  await client.connect();
  const again = new Promise((resolve) => client.on('connected', resolve));
  await expect(again).resolves.toMatchObject({ heartbeat: 30_000 });
});

test('a server that does not say connected is left', async () => {
  const server = await FaultyServer.start(() => {}, (socket) => greet(socket));
  const { client } = clientOf(server, { connectTimeout: 500 });
  await expect(client.connect()).resolves.toMatchObject({ node: 'faulty' });
});

test('connections that break in the middle of everything are replaced', async () => {
  const server = await FaultyServer.start(
    (socket) => socket.terminate(),
    (socket) => {
      greet(socket);
      socket.on('message', () => socket.terminate());
    },
    (socket) => {
      greet(socket);
      socket.on('message', (text) => {
        const { id } = JSON.parse(String(text)) as { id: number };
        socket.send(JSON.stringify({ event: 'ack', id, data: { room: 'warehouse:w', offset: 'e-1' } }));
      });
    },
  );
  const { client } = clientOf(server);
  await client.connect();
  await expect(client.subscribe('w')).resolves.toEqual({ room: 'warehouse:w', offset: 'e-1' });
});

test('disconnect in each phase throws nothing', async () => {
  const server = await FaultyServer.start((socket) => greet(socket));
  const { client, onError } = clientOf(server);
  void client.connect();
  client.disconnect(); // before it dials
  void client.connect();
  await Promise.resolve();
  await Promise.resolve();
  client.disconnect(); // while it dials
  await client.connect();
  client.disconnect();
  expect(client.state.name).toBe('closed');
  expect(onError).not.toHaveBeenCalled();
});

test('nobody listens there', async () => {
  const server = await FaultyServer.start();
  await server.stop();
  const { client } = clientOf(server, { maxAttempts: 2 });
  await expect(client.connect()).rejects.toMatchObject({
    code: 'gave_up',
    message: expect.stringMatching(/^gave up after 2 attempts: 127\.0\.0\.1:\d+ by websocket: closed with code 1006/),
    cause: { code: 'connect_failed', cause: { code: 'ECONNREFUSED' } },
  });
});
