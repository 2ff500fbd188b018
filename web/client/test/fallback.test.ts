import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { type ClientOptions, longPolling, serverSentEvents, type State, webSocket } from '@zonecast/client';
import { memory } from './memory.js';
import { Network, type Treatment } from './network.js';
import { eventually, realClient } from './real-client.js';
import { RealServer } from './real-server.js';

let server: RealServer;
beforeAll(async () => void (server = await RealServer.start()));
afterAll(() => server?.stop());

async function through(rule: (path: string) => Treatment, options: Partial<ClientOptions> = {}) {
  const network = await Network.to(server.port, rule);
  onTestFinished(() => network.remove());
  const given = { url: network.url, backoffCap: 200, connectTimeout: 3000, maxAttempts: Infinity, ...options };
  return { network, ...realClient(given) };
}

const only = (...paths: string[]) => (path: string): Treatment => (paths.includes(path) ? 'pass' : 'refuse');
const transportOf = (state: State) => (state.name === 'connected' ? state.transport : state.name);
const swallowing = (path: string) => (dialled: string): Treatment => (dialled === path ? 'swallow' : 'pass');

test.each([
  { what: 'refuses WebSockets', rule: only('/poll', '/sse'), want: 'poll' },
  { what: 'accepts WebSockets and delivers nothing', rule: swallowing('/ws'), want: 'poll' },
  { what: 'lets streams through alone', rule: only('/sse'), want: 'sse' },
  { what: 'lets everything through', rule: (): Treatment => 'pass', want: 'websocket' },
])('a network that $what is crossed by $want, within the first try', async ({ rule, want }) => {
  const { client } = await through(rule);
  const states: string[] = [];
  client.onState(({ name }) => states.push(name));
  await client.connect();
  expect(transportOf(client.state)).toBe(want);
  expect(states).toEqual(['connecting', 'connected']);
  expect(await client.echo()).toBeGreaterThan(0);
});

test('the order is that of the option', async () => {
  const { client, network } = await through(only('/ws'), { transports: [serverSentEvents, longPolling, webSocket] });
  await client.connect();
  expect(network.dialled).toEqual(['/sse', '/poll', '/ws']);
});

test('what delivered is tried first in the same session, also by the next client', async () => {
  const storage = memory();
  const { client, network } = await through(only('/sse'), { storage });
  await client.connect();
  client.disconnect();
  const before = network.dialled.length;
  const { client: next } = realClient({ url: network.url, storage });
  await next.connect();
  expect(network.dialled.slice(before)).toEqual(['/sse']);
});

test('a storage that throws is no reason to fail', async () => {
  const full = () => {
    throw new Error('quota exceeded');
  };
  const storage = { getItem: full, setItem: full, removeItem: full };
  const { client, onError } = await through(only('/sse'), { storage });
  await client.connect();
  expect(transportOf(client.state)).toBe('sse');
  expect(onError).not.toHaveBeenCalled();
});

test('the way back to WebSocket is found, without a gap in what is received', async () => {
  const options = { warehouse: 'w', zone: 'back', probeInterval: 100 };
  const { client, network, onError } = await through(only('/poll', '/sse'), options);
  const heard: unknown[] = [];
  const names: string[] = [];
  client.on('TICK', (data) => heard.push(data));
  client.on('gap', (gap) => heard.push(gap));
  client.onState(({ name }) => names.push(name));
  await client.connect();
  expect(transportOf(client.state)).toBe('poll');
  let sent = 0;
  let publishing = true;
  const publisher = (async () => {
    // one after the other: of two requests on their way at once, either may be accepted first
    for (; publishing; sent++) {
      await server.publish('w', 'back', 'TICK', sent);
      await setTimeout(5);
    }
  })();
  onTestFinished(() => void (publishing = false));
  await eventually(() => expect(network.dialled.filter((path) => path === '/ws').length).toBeGreaterThan(2));
  expect(transportOf(client.state)).toBe('poll');
  network.rule(() => 'pass');
  await eventually(() => expect(transportOf(client.state)).toBe('websocket'));
  await eventually(() => expect(heard.length).toBeGreaterThan(20));
  publishing = false;
  await publisher;
  await eventually(() => expect(heard).toEqual(Array.from({ length: sent }, (_, n) => n)));
  expect(onError).not.toHaveBeenCalled();
});

test('forced from transport to transport under load, everything arrives, in order and once', async () => {
  const zones = ['x', 'y', 'z'];
  const options = { warehouse: 'w', zone: 'x', probeInterval: 200, requestTimeout: 100_000 };
  const { client, network, onError } = await through(() => 'pass', options);
  const heard = new Map<string, unknown[]>(zones.map((zone) => [zone, []]));
  const gaps: unknown[] = [];
  const used = new Set<string>();
  client.onAny((data, { event, room }) => {
    if (event === 'TICK') heard.get(String(room).slice(-1))?.push(data);
    if (event === 'gap') gaps.push(data);
  });
  client.onState((state) => used.add(transportOf(state)));
  await client.connect();
  await Promise.all(['y', 'z'].map((zone) => client.subscribe('w', zone)));

  let sent = 0;
  let publishing = true;
  const publisher = (async () => {
    for (; publishing; sent++) {
      await Promise.all(zones.map((zone) => server.publish('w', zone, 'TICK', sent)));
      await setTimeout(5);
    }
  })();
  onTestFinished(() => void (publishing = false));
  const own = { warehouse: 'w', zone: 'own', event: 'OWN' };
  const published = Promise.all(Array.from({ length: 10 }, (_, data) => client.publish({ ...own, data })));
  for (const paths of [['/sse'], ['/poll'], ['/ws'], ['/sse'], ['/ws', '/poll'], ['/poll'], ['/sse'], ['/ws']]) {
    network.rule(only(...paths));
    await eventually(() => expect(['websocket', 'poll', 'sse']).toContain(transportOf(client.state)));
    const [first] = heard.values();
    const before = first?.length ?? 0;
    await eventually(() => expect(first?.length).toBeGreaterThan(before + 5));
  }
  publishing = false;
  await publisher;
  const want = Array.from({ length: sent }, (_, n) => n);
  for (const zone of zones) await eventually(() => expect(heard.get(zone)?.length).toBe(sent));
  for (const zone of zones) expect(heard.get(zone)).toEqual(want);
  expect(gaps).toEqual([]);
  expect([...used]).toEqual(expect.arrayContaining(['websocket', 'poll', 'sse']));
  expect(new Set((await published).map(({ offset }) => offset)).size).toBe(10);
  expect(onError).not.toHaveBeenCalled();
});

test('offsets that are kept let the next page go on where the last one was', async () => {
  const storage = memory();
  const url = server.url;
  const page = () => realClient({ url, warehouse: 'w', zone: 'kept', storage, keepOffsets: true }).client;
  const first = page();
  await first.connect();
  const received = new Promise((resolve) => first.once('TICK', resolve));
  await server.publish('w', 'kept', 'TICK', 1);
  await received;
  first.disconnect();
  await server.publish('w', 'kept', 'TICK', 2);
  await server.publish('w', 'kept', 'TICK', 3);
  const second = page();
  const heard: unknown[] = [];
  second.on('TICK', (data) => heard.push(data));
  second.on('gap', (gap) => heard.push(gap));
  await second.connect();
  await eventually(() => expect(heard).toEqual([2, 3]));
});
