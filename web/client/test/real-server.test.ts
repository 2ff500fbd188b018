import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  type ClientOptions,
  longPolling,
  serverSentEvents,
  type State,
  type Transport,
  webSocket,
} from '@zonecast/client';
import { Network } from './network.js';
import { eventually, realClient } from './real-client.js';
import { RealServer } from './real-server.js';

const transports = [webSocket, longPolling, serverSentEvents];

let server: RealServer;
beforeAll(async () => void (server = await RealServer.start()));
afterAll(() => server?.stop());

let rooms = 0;
/** A zone that no other test uses. */
const newZone = () => `zone-${++rooms}`;

const clientOf = (transport: Transport, url: string, options: Partial<ClientOptions> = {}) =>
  realClient({ url, transports: [transport], maxAttempts: Infinity, ...options });

type Client = ReturnType<typeof clientOf>['client'];

/** What a client hears, as it comes: the data of ticks, and which rooms have gaps. */
function record(client: Client): unknown[] {
  const heard: unknown[] = [];
  client.on('TICK', (data) => heard.push(data));
  client.on('gap', ({ room }) => heard.push(`gap in ${room}`));
  return heard;
}

const state = (client: Client, name: State['name']) =>
  client.state.name === name
    ? Promise.resolve(client.state)
    : new Promise<State>((resolve) => {
        const stop = client.onState((next) => {
          if (next.name !== name) return;
          stop();
          resolve(next);
        });
      });

describe.each(transports)('a steady server over $name', (transport) => {
  test('connects, joins by its options and receives what a service publishes', async () => {
    const zone = newZone();
    const { client, onError } = clientOf(transport, server.url, { warehouse: 'w', zone, userId: 'ann' });
    const info = await client.connect();
    expect(info).toMatchObject({ connectionId: expect.any(String), node: expect.any(String), serverTime: expect.any(Number) });
    expect(info.rooms.map(({ room }) => room).sort()).toEqual(['warehouse:w', `zone:w:${zone}`]);
    expect(client.state).toMatchObject({ name: 'connected', transport: transport.name });

    const received = new Promise((resolve) => client.once('TICK', (...args) => resolve(args)));
    const offset = await server.publish('w', zone, 'TICK', { n: 1, text: 'é <ü>' });
    expect(await received).toEqual([
      { n: 1, text: 'é <ü>' },
      { event: 'TICK', room: `zone:w:${zone}`, offset, time: expect.any(Number) },
    ]);
    expect(onError).not.toHaveBeenCalled();
  });

  test('subscribes, unsubscribes, publishes and echoes', async () => {
    const zone = newZone();
    const { client } = clientOf(transport, server.url);
    await client.connect();
    const heard = record(client);

    await expect(client.subscribe('w', zone)).resolves.toMatchObject({ room: `zone:w:${zone}` });
    const place = await client.publish({ warehouse: 'w', zone, event: 'TICK', data: 1 });
    expect(place).toEqual({ room: `zone:w:${zone}`, offset: expect.stringMatching(/-1$/) });
    await eventually(() => expect(heard).toEqual([1]));

    await client.unsubscribe('w', zone);
    await server.publish('w', zone, 'TICK', 2);
    await client.subscribe('w', zone);
    await server.publish('w', zone, 'TICK', 3);
    await eventually(() => expect(heard).toEqual([1, 3]));

    expect(await client.echo({ any: ['thing'] })).toBeGreaterThan(0);
  });

  test('serverNow() is the clock of the server, also when that of the device is wrong and is put right', async () => {
    const { now } = Date;
    let ahead = 3_600_000;
    vi.spyOn(Date, 'now').mockImplementation(() => now() + ahead);
    onTestFinished(() => void vi.restoreAllMocks());
    const zone = newZone();
    const { client } = clientOf(transport, server.url, { warehouse: 'w', zone });
    expect(client.serverNow() - now()).toBeGreaterThanOrEqual(ahead - 1);
    await client.connect();
    expect(Math.abs(client.serverNow() - now())).toBeLessThan(60_000); // this machine may be very busy
    ahead = -3_600_000;
    await server.publish('w', zone, 'TICK', 1); // a poll is answered
    await eventually(() => expect(Math.abs(client.serverNow() - now())).toBeLessThan(60_000));
  });

  test('an integer above 2^53 keeps its digits with a parser of the application', async () => {
    const zone = newZone();
    const parse = (text: string): unknown =>
      JSON.parse(text.replace(/:(\d{16,})/g, ':"big $1"'), (_, value) =>
        String(value).startsWith('big ') ? BigInt(value.slice(4)) : value,
      );
    const { client, onError } = clientOf(transport, server.url, { warehouse: 'w', zone, parse });
    await client.connect();
    const heard = record(client);
    await server.publishJSON('w', zone, '{"event":"TICK","data":{"id":9007199254740993}}');
    await eventually(() => expect(heard).toEqual([{ id: 9007199254740993n }]));
    expect(await client.publish({ warehouse: 'w', zone, event: 'TICK' })).toMatchObject({ room: `zone:w:${zone}` });
    expect(onError).not.toHaveBeenCalled();
  });

  test('delivers the retained message to whoever joins later, by options or subscribe', async () => {
    const zone = newZone();
    await server.publish('w', zone, 'TICK', 'retained', true);
    await server.publish('w', zone, 'TICK', 'gone');
    const byOptions = clientOf(transport, server.url, { warehouse: 'w', zone }).client;
    const bySubscribe = clientOf(transport, server.url).client;
    const heard = [record(byOptions), record(bySubscribe)];
    const marks: unknown[] = [];
    byOptions.on('TICK', (_, { retained }) => marks.push(retained));
    await Promise.all([byOptions.connect(), bySubscribe.connect()]);
    await bySubscribe.subscribe('w', zone);
    await server.publish('w', zone, 'TICK', 'live');
    for (const ticks of heard) await eventually(() => expect(ticks).toEqual(['retained', 'live']));
    expect(marks).toEqual([true, undefined]);
  });

  test('delivers the retained message to listeners that are added after connect() resolved', async () => {
    const zone = newZone();
    await server.publish('w', zone, 'TICK', 'retained', true);
    const { client } = clientOf(transport, server.url, { warehouse: 'w', zone });
    await client.connect();
    const heard = record(client);
    await eventually(() => expect(heard).toEqual(['retained']));
  });

  test('delivers the retained message although the first connection ended before it came', async () => {
    const zone = newZone();
    await server.publish('w', zone, 'TICK', 'retained', true);
    const { client } = clientOf(transport, server.url, { warehouse: 'w', zone });
    const heard = record(client);
    client.once('connected', () => {
      client.disconnect();
      void client.connect();
    });
    client.connect().catch(() => {}); // it was disconnected
    await eventually(() => expect(heard).toEqual(['retained']));
  });

  test('publishes once what is published twice with one key', async () => {
    const zone = newZone();
    const { client } = clientOf(transport, server.url, { warehouse: 'w', zone });
    const heard = record(client);
    await client.connect();
    const message = { warehouse: 'w', zone, event: 'TICK', data: 'once', idempotencyKey: `key of ${zone}` };
    const first = await client.publish(message);
    expect(await client.publish(message)).toEqual(first);
    await client.publish({ ...message, data: 'after', idempotencyKey: `other key of ${zone}` });
    await eventually(() => expect(heard).toEqual(['once', 'after']));
  });

  test('joins many rooms at once and stays in order in each', async () => {
    const zones = Array.from({ length: 10 }, newZone);
    const { client, onError } = clientOf(transport, server.url);
    const heard = record(client);
    await client.connect();
    await Promise.all(zones.map((zone) => client.subscribe('w', zone)));
    for (const zone of zones) await server.publish('w', zone, 'TICK', zone);
    await eventually(() => expect([...heard].sort()).toEqual([...zones].sort()));
    expect(client.rooms.sort()).toEqual(zones.map((zone) => `zone:w:${zone}`).sort());
    expect(onError).not.toHaveBeenCalled();
  });

  test('answers what it refuses with errors that have codes', async () => {
    const { client } = clientOf(transport, server.url);
    await client.connect();
    await expect(client.publish({ warehouse: 'w', event: 'message' })).rejects.toMatchObject({ code: 'invalid_event' });
    expect(client.state.name).toBe('connected');
  });

  test('resumes after a cut cable with all that was missed, in order and once', async () => {
    const zone = newZone();
    const cable = await Network.to(server.port, () => 'pass');
    onTestFinished(() => cable.remove());
    const { client, onError } = clientOf(transport, cable.url, { warehouse: 'w', zone });
    const heard = record(client);
    const want: unknown[] = [];
    const tick = async () => {
      want.push(want.length);
      await server.publish('w', zone, 'TICK', want.length - 1);
    };
    await client.connect();
    for (let round = 0; round < 3; round++) {
      await tick();
      await tick();
      cable.rule(() => 'cut');
      await state(client, 'waiting');
      await tick();
      await tick();
      cable.rule(() => 'pass');
      await tick();
      await state(client, 'connected');
      await tick();
      await eventually(() => expect(heard).toEqual(want));
    }
    expect(onError).not.toHaveBeenCalled();
  });
});

test.each([webSocket, serverSentEvents])('heartbeats are heard and lived on over $name', async (transport) => {
  const { client } = clientOf(transport, server.url);
  await client.connect();
  const beats: number[] = [];
  client.on('heartbeat', ({ connections }) => beats.push(connections));
  await eventually(() => expect(beats.length).toBeGreaterThanOrEqual(3));
  expect(Math.min(...beats)).toBeGreaterThanOrEqual(1);
  expect(client.state.name).toBe('connected');
});

describe.each(transports)('a server that goes away, over $name,', (transport) => {
  test.each(['SIGTERM', 'SIGKILL'] as const)('with %s and comes back is found again', async (signal) => {
    let instance = await RealServer.start();
    onTestFinished(() => instance.stop());
    const { client, onError } = clientOf(transport, instance.url);
    const heard = record(client);
    await client.connect();
    await client.subscribe('w', 'z');
    await instance.publish('w', 'z', 'TICK', 'before');
    await eventually(() => expect(heard).toEqual(['before']));

    const waiting = state(client, 'waiting');
    await instance.stop(signal);
    await expect(waiting).resolves.toMatchObject({ error: { code: 'connection_lost' } });
    instance = await RealServer.start(instance.port);
    await state(client, 'connected');

    // Its memory went with it: the client is told of the gap, and goes on.
    await eventually(() => expect(heard).toEqual(['before', 'gap in zone:w:z']));
    await instance.publish('w', 'z', 'TICK', 'after');
    await eventually(() => expect(heard).toEqual(['before', 'gap in zone:w:z', 'after']));
    expect(onError).not.toHaveBeenCalled();
  });

  test('for good makes the client give up', async () => {
    const instance = await RealServer.start();
    const { client } = clientOf(transport, instance.url, { maxAttempts: 2 });
    await client.connect();
    await instance.stop('SIGKILL');
    await expect(state(client, 'failed')).resolves.toMatchObject({ error: { code: 'gave_up' } });
  });
});

describe('a program with the published build, made by npm run build,', () => {
  test.each([
    { what: 'the WebSocket of ws', setup: `import { WebSocket } from 'ws'; const transports = [webSocket];` },
    { what: "Node's own WebSocket", setup: 'const { WebSocket } = globalThis; const transports = [webSocket];' },
    { what: 'long polling', setup: 'const WebSocket = undefined; const transports = [longPolling];' },
    { what: 'Server-Sent Events', setup: 'const WebSocket = undefined; const transports = [serverSentEvents];' },
  ])('and $what ends by itself after disconnect', async ({ setup }) => {
    const source = `
      ${setup}
      import { createWebSocketClient, longPolling, serverSentEvents, webSocket } from '@zonecast/client';
      const url = ${JSON.stringify(server.url)};
      const ws = createWebSocketClient({ url, warehouse: 'w', zone: 'z', WebSocket, transports });
      await ws.connect();
      await ws.subscribe('w2', 'z2');
      const heard = new Promise((resolve) => ws.once('TICK', (data, { room }) => resolve(room + ' ' + data)));
      await ws.publish({ warehouse: 'w2', zone: 'z2', event: 'TICK', data: 7 });
      console.log(await heard);
      ws.disconnect();`;
    const args = ['--no-warnings', '--experimental-websocket', '--input-type=module'];
    const cwd = fileURLToPath(new URL('..', import.meta.url)); // the package finds itself by its name there
    const program = spawn(process.execPath, args, { cwd, stdio: ['pipe', 'pipe', 'inherit'] });
    onTestFinished(() => void program.kill('SIGKILL'));
    program.stdin.end(source);
    let output = '';
    program.stdout.on('data', (chunk) => (output += String(chunk)));
    const started = performance.now();
    const [code] = (await once(program, 'close')) as [number | null];
    expect({ code, output }).toEqual({ code: 0, output: 'zone:w2:z2 7\n' });
    // Sooner than anything that a client leaves behind would end: a poll after 25 s, a connection
    // with the server.
    expect(performance.now() - started).toBeLessThan(20_000);
  });
});
