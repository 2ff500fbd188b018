import { queryObjects, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { longPolling, serverSentEvents, webSocket } from '@zonecast/client';
import { eventually, realClient } from './real-client.js';
import { RealServer } from './real-server.js';

let server: RealServer;
beforeAll(async () => void (server = await RealServer.start()));
afterAll(() => server?.stop());

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const count = (kind: string) => process.getActiveResourcesInfo().filter((name) => name === kind).length;

/** What a client could leave behind in this process. */
function measure() {
  collectGarbage();
  return {
    timers: count('Timeout'),
    sockets: count('TCPSocketWrap'),
    promises: queryObjects(Promise as never) as unknown as number,
    signals: queryObjects(AbortSignal as never) as unknown as number,
    heap: process.memoryUsage().heapUsed,
  };
}

test.each([webSocket, longPolling, serverSentEvents])('1,000 connect cycles over $name leave nothing behind', async (transport) => {
  const listening = new Map<string, number>();
  const note = (by: number) => (type: string) => void listening.set(type, (listening.get(type) ?? 0) + by);
  vi.stubGlobal('addEventListener', note(1));
  vi.stubGlobal('removeEventListener', note(-1));
  const { client, onError } = realClient({ url: server.url, warehouse: 'w', zone: 'cycles', transports: [transport] });
  const cycle = async (times: number) => {
    for (let n = 0; n < times; n++) {
      await client.connect();
      client.disconnect();
    }
  };
  await cycle(100); // what is made once, like pools of sockets
  await server.isEmpty();
  const before = measure();
  await cycle(1000);
  await server.isEmpty();
  expect([...new Set(listening.values())]).toEqual([0]);
  // A leak of one a cycle would be 1,000; fetch keeps a few sockets, with their timers, for its next request.
  await eventually(() => {
    const after = measure();
    for (const kind of ['timers', 'sockets', 'promises', 'signals'] as const) expect(after[kind], kind).toBeLessThan(before[kind] + 100);
    expect(after.heap).toBeLessThan(before.heap + 1_000_000); // 1 KB a cycle
  });
  expect(onError).not.toHaveBeenCalled();
  vi.unstubAllGlobals();
});
