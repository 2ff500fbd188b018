import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { type ClientOptions, longPolling, serverSentEvents, type State, webSocket } from '@zonecast/client';
import { Network, type Treatment } from './network.js';
import { eventually, realClient } from './real-client.js';
import { RealServer } from './real-server.js';

let server: RealServer;
beforeAll(async () => void (server = await RealServer.start()));
afterAll(() => server?.stop());

async function through(rule: (path: string) => Treatment, options: Partial<ClientOptions> = {}) {
  const network = await Network.to(server.port, rule);
  onTestFinished(() => network.remove());
  return { network, ...realClient({ url: network.url, backoffCap: 200, ...options }) };
}

const transportOf = (state: State) => (state.name === 'connected' ? state.transport : state.name);

/** Stands in for the browser's window, and lets something happen to it. */
function fakeWindow() {
  const listening: [type: string, listener: (event: { type: string }) => void][] = [];
  vi.stubGlobal('addEventListener', (...added: (typeof listening)[number]) => listening.push(added));
  vi.stubGlobal('removeEventListener', (type: string, listener: unknown) => {
    const at = listening.findIndex(([ofType, known]) => ofType === type && known === listener);
    if (at >= 0) listening.splice(at, 1);
  });
  onTestFinished(() => void vi.unstubAllGlobals());
  const happens = (type: string) => {
    for (const [ofType, listener] of [...listening]) if (ofType === type) listener({ type });
  };
  return { happens };
}

test.each([
  { cut: 'WebSockets', flapping: ['/ws'], want: 'poll' },
  { cut: 'streams and WebSockets', flapping: ['/ws', '/sse'], want: 'poll' },
])('a middlebox that cuts $cut after a moment is crossed by $want; nothing is lost, and the WebSocket is found again', async ({ flapping, want }) => {
  const flaps = (path: string): Treatment => (flapping.includes(path) ? 'flap' : 'pass');
  const zone = `flapping-${flapping.length}`;
  const transports = flapping.length > 1 ? [webSocket, serverSentEvents, longPolling] : [webSocket, longPolling];
  const { client, network } = await through(flaps, { warehouse: 'w', zone, transports, probeInterval: 1000 });
  const heard: unknown[] = [];
  client.on('TICK', (data) => heard.push(data));
  client.on('gap', (gap) => heard.push(gap));
  let sent = 0;
  let publishing = true;
  await client.connect();
  const publisher = (async () => {
    for (; publishing; sent++) {
      await server.publish('w', zone, 'TICK', sent);
      await setTimeout(20);
    }
  })();
  onTestFinished(() => void (publishing = false));
  await eventually(() => expect(transportOf(client.state)).toBe(want));
  expect(network.dialled.filter((path) => path === '/ws').length).toBeLessThanOrEqual(10);
  network.rule(() => 'pass');
  await eventually(() => expect(transportOf(client.state)).toBe('websocket'));
  publishing = false;
  await publisher;
  await eventually(() => expect(heard).toEqual(Array.from({ length: sent }, (_, n) => n)));
});

test.each([webSocket, longPolling, serverSentEvents])('offline is told at once over $name, and online brings back what was missed', async (transport) => {
  const { happens } = fakeWindow();
  const zone = `offline-${transport.name}`;
  const { client } = await through(() => 'pass', { warehouse: 'w', zone, transports: [transport], backoffBase: 60_000, backoffCap: 60_000 });
  const heard: unknown[] = [];
  client.on('TICK', (data) => heard.push(data));
  await client.connect();
  happens('offline');
  expect(client.state).toMatchObject({ name: 'waiting', error: { message: expect.stringMatching(/offline/) } });
  await server.publish('w', zone, 'TICK', 1);
  happens('online');
  await eventually(() => expect(transportOf(client.state)).toBe(transport.name));
  await eventually(() => expect(heard).toEqual([1]));
});
