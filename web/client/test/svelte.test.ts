// @vitest-environment happy-dom
import { derived, get } from 'svelte/store';
import { afterEach, expect, test, vi } from 'vitest';
import { connectionStore, zoneStore } from '@zonecast/client/svelte';
import { createTestServer } from '@zonecast/client/testing';

const ROOM = 'zone:w:a';

afterEach(() => vi.unstubAllGlobals());

/** Connected, as a component that shows the connection does it. */
async function connected() {
  const server = createTestServer();
  const client = server.client({ backoffBase: 1, onError: () => {} });
  const states: string[] = [];
  const disconnect = connectionStore(client).subscribe(({ name }) => states.push(name));
  await vi.waitFor(() => expect(states.at(-1)).toBe('connected'));
  return { server, client, states, disconnect };
}

test('a store has the newest of a zone, and a second one starts with what the first has', async () => {
  const { server, client, disconnect } = await connected();
  const heard: unknown[] = [];
  const rates: unknown[] = [];
  const rate = derived(zoneStore<{ RATE: number }>(client as never, 'w', 'a', (data) => heard.push(data)), ({ latest }) => latest.RATE);
  const stop = rate.subscribe((value) => rates.push(value));
  await client.subscribe('w', 'a');
  server.publish(ROOM, 'RATE', 7);
  server.publish(ROOM, 'RATE', 8);
  expect(rates).toEqual([undefined, 7, 8]);
  expect(heard).toEqual([7, 8]);
  const asked = vi.fn();
  server.refuse = asked;
  expect(get(zoneStore(client, 'w', 'a'))).toMatchObject({ joined: true, latest: { RATE: 8 } });
  expect(asked).not.toHaveBeenCalled();
  stop();
  disconnect();
});

test('the last subscriber leaves the room, and that of the connection disconnects', async () => {
  const { server, client, disconnect } = await connected();
  const stops = [zoneStore(client, 'w', 'a').subscribe(() => {}), zoneStore(client, 'w', 'a').subscribe(() => {})];
  const again = connectionStore(client).subscribe(() => {});
  stops.pop()?.();
  await Promise.resolve();
  expect(client.rooms).toEqual([ROOM]);
  stops.pop()?.();
  await vi.waitFor(() => expect(client.rooms).toEqual([]));
  disconnect();
  await Promise.resolve();
  expect(client.state.name).toBe('connected');
  again();
  await vi.waitFor(() => expect(client.state.name).toBe('closed'));
  expect(server.connections).toBe(0);
});

test('missed is cleared by reload(), and a refusal is an error', async () => {
  const { server, client, disconnect } = await connected();
  const zone = zoneStore(client, 'w', 'a');
  const stop = zone.subscribe(() => {});
  await vi.waitFor(() => expect(get(zone).joined).toBe(true));
  server.loseHistory(ROOM);
  expect(get(zone).missed).toMatchObject({ room: ROOM });
  zone.reload();
  await vi.waitFor(() => expect(get(zone)).toMatchObject({ joined: true, missed: undefined }));
  server.refuse = () => 'forbidden';
  const secret = zoneStore(client, 'secret');
  const stopSecret = secret.subscribe(() => {});
  await vi.waitFor(() => expect(get(secret).error).toMatchObject({ code: 'forbidden' }));
  for (const end of [stop, stopSecret, disconnect]) end();
});

test('rendering on the server shows the beginning, and connects nothing', () => {
  vi.stubGlobal('document', undefined);
  const client = createTestServer().client();
  expect([get(connectionStore(client)).name, get(zoneStore(client, 'w', 'a')).joined]).toEqual(['idle', false]);
  expect([client.state.name, client.rooms]).toEqual(['idle', []]);
});
