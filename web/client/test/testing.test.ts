import { expect, it, vi } from 'vitest';
import { createTestServer } from '@zonecast/client/testing';

const ZONE = 'zone:warehouse-1:zone-a';

/** What a board of an application shows; the test of it is the example of the documentation. */
function board(client: ReturnType<ReturnType<typeof createTestServer>['client']>) {
  const shown = { rate: 0, stale: false };
  client.on('ZONE_UPDATE', ({ pickRate }) => Object.assign(shown, { rate: pickRate, stale: false }));
  client.on('gap', () => Object.assign(shown, { stale: true }));
  return shown;
}

async function connected() {
  const server = createTestServer();
  const client = server.client({ warehouse: 'warehouse-1', zone: 'zone-a', backoffBase: 1, onError: () => {} });
  await client.connect();
  return { server, client };
}

it('shows what is published', async () => {
  const { server, client } = await connected();
  const shown = board(client);
  server.publish(ZONE, 'ZONE_UPDATE', { pickRate: 1402 });
  await vi.waitFor(() => expect(shown).toEqual({ rate: 1402, stale: false }));
  server.publish(ZONE, 'ZONE_UPDATE', { pickRate: 1403 });
  expect(shown).toEqual({ rate: 1403, stale: false }); // at once
});

it('tells what clients publish, and that once', async () => {
  const { server, client } = await connected();
  const twice = { warehouse: 'warehouse-1', event: 'ALERT', data: { id: '1' }, idempotencyKey: 'k' };
  const first = await client.publish(twice);
  expect(await client.publish(twice)).toEqual(first);
  expect(server.published).toEqual([{ room: 'warehouse:warehouse-1', event: 'ALERT', data: { id: '1' }, offset: first.offset }]);
  expect(await client.echo()).toBeGreaterThanOrEqual(0);
});

it('comes back after a drop without loss, and is told a gap where there is one', async () => {
  const { server, client } = await connected();
  const got: unknown[] = [];
  client.on('E', (data) => got.push(data));
  client.on('gap', ({ room }) => got.push(`gap in ${room}`));
  server.publish(ZONE, 'E', 1);
  server.drop();
  server.publish(ZONE, 'E', 2);
  await vi.waitFor(() => expect(got).toEqual([1, 2]));
  server.online = false;
  server.publish(ZONE, 'E', 3);
  server.loseHistory(ZONE);
  server.publish(ZONE, 'E', 4);
  server.online = true;
  await vi.waitFor(() => expect(got).toEqual([1, 2, `gap in ${ZONE}`, 4]));
  server.loseHistory('warehouse:warehouse-1');
  expect(got.at(-1)).toBe('gap in warehouse:warehouse-1');
});

it('has what is retained for whoever joins', async () => {
  const { server, client } = await connected();
  server.publish('zone:warehouse-2:b', 'STATE', 'newest', { retain: true });
  const got: unknown[] = [];
  client.onAny((data, { event, retained }) => event === 'STATE' && got.push([data, retained]));
  await client.subscribe('warehouse-2', 'b');
  await vi.waitFor(() => expect(got).toEqual([['newest', true]]));
  await client.unsubscribe('warehouse-2', 'b');
  server.publish('zone:warehouse-2:b', 'STATE', 'unheard');
  expect(got).toHaveLength(1);
});

it('refuses what the test wants refused', async () => {
  const { server, client } = await connected();
  server.refuse = ({ event, data }) => (event === 'subscribe' && data.warehouse === 'secret' ? 'forbidden' : undefined);
  await expect(client.subscribe('secret')).rejects.toMatchObject({ code: 'forbidden' });
  server.drop(4403, 'no more');
  await vi.waitFor(() => expect(client.state.name).toBe('failed'));
});

it('works with timers that a test has replaced', async () => {
  vi.useFakeTimers();
  try {
    const { server, client } = await connected();
    expect([client.state.name, server.connections]).toEqual(['connected', 1]);
    server.online = false;
    expect(client.state.name).toBe('waiting');
    server.online = true;
    await vi.advanceTimersByTimeAsync(5);
    expect(client.state.name).toBe('connected');
    client.disconnect();
    expect(server.connections).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});

it('says what is wrong with a room', async () => {
  const { server } = await connected();
  expect(() => server.publish('zone-a', 'E')).toThrow(/warehouse is undefined/);
});
