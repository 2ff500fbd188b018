import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { longPolling, serverSentEvents, webSocket } from '@zonecast/client';
import { eventually, realClient } from './real-client.js';
import { RealServer } from './real-server.js';

let server: RealServer;
beforeAll(async () => void (server = await RealServer.start(0, { RATE_LIMIT_TOKENS: '40', RATE_LIMIT_REFILL: '50' })));
afterAll(() => server?.stop());

describe.each([webSocket, longPolling, serverSentEvents])('over $name', (transport) => {
  test('150 publications at once arrive once, in the order in which they were made, over one connection', async () => {
    const zone = `burst-${transport.name}`;
    const { client, onError } = realClient({ url: server.url, warehouse: 'w', zone, transports: [transport], requestTimeout: 60_000 });
    const heard: unknown[] = [];
    const states: string[] = [];
    client.on('TICK', (data) => heard.push(data));
    client.onState(({ name }) => states.push(name));
    await client.connect();
    const made = Array.from({ length: 150 }, (_, data) => data);
    await Promise.all(made.map((data) => client.publish({ warehouse: 'w', zone, event: 'TICK', data })));
    await eventually(() => expect(heard).toEqual(made));
    expect(states).toEqual(['connecting', 'connected']);
    expect(onError).not.toHaveBeenCalled();
  });

  test('what is too large is refused by itself, and all else goes on', async () => {
    const zone = `large-${transport.name}`;
    const { client, onError } = realClient({ url: server.url, warehouse: 'w', zone, transports: [transport] });
    const heard: unknown[] = [];
    client.on('PHOTO', (data) => heard.push(data));
    await client.connect();
    const { name, info } = client.state as { name: string; info: { connectionId: string } };
    const photo = (bytes: number) => client.publish({ warehouse: 'w', zone, event: 'PHOTO', data: 'x'.repeat(bytes) });
    const outcomes = await Promise.allSettled([photo(70_000), photo(3)]);
    expect(outcomes).toMatchObject([{ reason: { code: 'too_large', message: expect.stringMatching(/the server takes 65536$/) } }, { value: {} }]);
    await eventually(() => expect(heard).toEqual(['xxx']));
    expect(client.state).toMatchObject({ name, info: { connectionId: info.connectionId } });
    expect(onError).not.toHaveBeenCalled();
  });
});
