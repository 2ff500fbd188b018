import { afterEach, beforeEach, describe, expect, expectTypeOf, test, vi } from 'vitest';
import { type ShiftSnapshot, webSocket, type ZoneUpdate } from '@zonecast/client';
import { createClient, createWebSocketClient, withRooms } from '@zonecast/client/rooms';
import * as iife from '../src/iife.js';
import { fakeClient, FakeSocket, fakeTime, settle } from './fake-socket.js';

fakeTime({ beforeEach, afterEach });

const ROOM = 'zone:w:z';

function fakeRooms() {
  const fake = fakeClient();
  return { ...fake, client: withRooms(fake.client) };
}

const retained = (offset: string, data: unknown, event = 'SHIFT_SNAPSHOT') =>
  ({ event, room: ROOM, offset, time: 0, retained: true, data });

/** A zone that is joined, with one retained snapshot. */
async function inZone() {
  const fake = fakeRooms();
  const zone = fake.client.zone('w', 'z');
  const socket = await fake.connect();
  socket.acks('subscribe', { room: ROOM, offset: 'e-17' });
  socket.says(retained('e-15', { unitsDone: 1 }));
  await settle();
  return { ...fake, zone };
}

describe('a handle', () => {
  test('that is made before connect() is joined on connecting', async () => {
    const { client, connect } = fakeRooms();
    const zone = client.zone('w', 'z');
    expect(zone).toMatchObject({ room: ROOM, joined: false, latest: {} });
    const socket = await connect();
    expect(socket.last('subscribe').data).toEqual({ warehouse: 'w', zone: 'z' });
    socket.acks('subscribe', { room: ROOM, offset: 'e-17' });
    await expect(zone.ready).resolves.toEqual({ room: ROOM, offset: 'e-17' });
    expect(zone.joined).toBe(true);
  });

  test('hears its room alone, after the listeners of the client, gaps included', async () => {
    const { client, zone, socket } = await inZone();
    const heard: unknown[] = [];
    zone.on('ZONE_UPDATE', (_, { offset }) => heard.push(offset));
    zone.on('gap', ({ to }) => heard.push(`gap to ${to}`));
    client.on('ZONE_UPDATE', (_, { room, offset }) => heard.push(`${room} ${offset}`));
    void client.subscribe('other');
    socket().acks('subscribe', { room: 'warehouse:other', offset: 'e-0' });
    socket().publishes('warehouse:other', 'e-1');
    socket().publishes(ROOM, 'e-18');
    socket().says({ event: 'gap', data: { room: ROOM, from: 'e-18', to: 'e-20' } });
    expect(heard).toEqual(['warehouse:other e-1', `${ROOM} e-18`, 'e-18', 'gap to e-20']);
    expect(zone.missed).toEqual({ room: ROOM, from: 'e-18', to: 'e-20' });
  });

  test('has the latest of each event, and tells each change', async () => {
    const { zone, socket } = await inZone();
    const states = vi.fn();
    zone.onState(states);
    const before = zone.state;
    expect(before).toEqual({ joined: true, latest: { SHIFT_SNAPSHOT: { unitsDone: 1 } } });
    expect(zone.state).toBe(before);
    socket().publishes(ROOM, 'e-18', 'ALERT', { id: 'a' });
    expect(zone.latest).toEqual({ SHIFT_SNAPSHOT: { unitsDone: 1 }, ALERT: { id: 'a' } });
    expect(states).toHaveBeenCalledExactlyOnceWith(zone.state);
    socket().closes(1006);
    expect(zone).toMatchObject({ joined: false, latest: { ALERT: { id: 'a' } } });
    expectTypeOf(zone.latest.SHIFT_SNAPSHOT).toEqualTypeOf<ShiftSnapshot | undefined>();
  });

  test('replays what is retained to late listeners, once, in its newest state', async () => {
    const { zone, socket } = await inZone();
    const heard: unknown[] = [];
    const listener = (data: unknown, { offset, retained }: { offset?: string; retained?: boolean }) =>
      heard.push([data, offset, retained]);
    zone.on('SHIFT_SNAPSHOT', listener);
    zone.on('SHIFT_SNAPSHOT', listener);
    zone.on('ZONE_UPDATE', listener);
    await settle();
    expect(heard).toEqual([[{ unitsDone: 1 }, 'e-15', true]]);
    socket().publishes(ROOM, 'e-18', 'SHIFT_SNAPSHOT', { unitsDone: 2 });
    zone.once('SHIFT_SNAPSHOT', (data) => heard.push(data));
    await settle();
    expect(heard.slice(1)).toEqual([[{ unitsDone: 2 }, 'e-18', undefined], { unitsDone: 2 }]);
  });

  test('that another one stands beside shares its subscription and its state, and the last leaves', async () => {
    const { client, zone, socket } = await inZone();
    const second = client.zone('w', 'z');
    expect(second.state).toBe(zone.state);
    const heard = vi.fn();
    second.on('ZONE_UPDATE', heard);
    zone.on('ZONE_UPDATE', heard);
    await zone.leave();
    await zone.leave();
    socket().publishes(ROOM, 'e-18');
    expect(heard).toHaveBeenCalledTimes(1);
    const left = second.leave();
    expect(socket().sent.map(({ event }) => event)).toEqual(['subscribe', 'unsubscribe']);
    socket().acks('unsubscribe');
    await left;
    expect(client.rooms).toEqual([]);
  });

  test('does not leave a room that was joined without handles', async () => {
    const { client, connect } = fakeRooms();
    const socket = await connect();
    void client.subscribe('w', 'z');
    socket.acks('subscribe', { room: ROOM, offset: 'e-1' });
    await client.zone('w', 'z').leave();
    expect(client.rooms).toEqual([ROOM]);
    expect(socket.sent).toHaveLength(1);
  });

  test('and subscribe() hold the room together', async () => {
    const { client, zone, socket } = await inZone();
    await client.subscribe('w', 'z');
    await client.unsubscribe('w', 'z');
    expect(client.rooms).toEqual([ROOM]);
    await client.subscribe('w', 'z');
    await zone.leave();
    expect(client.rooms).toEqual([ROOM]);
    const left = client.unsubscribe('w', 'z');
    socket().acks('unsubscribe');
    await left;
    expect(client.rooms).toEqual([]);
  });

  test('gets what is retained where the room was joined before it', async () => {
    const { client, connect } = fakeRooms();
    const socket = await connect();
    void client.subscribe('w', 'z');
    socket.acks('subscribe', { room: ROOM, offset: 'e-17' });
    socket.says(retained('e-15', { unitsDone: 1 }));
    const zone = client.zone('w', 'z');
    await settle();
    expect(zone.latest).toEqual({ SHIFT_SNAPSHOT: { unitsDone: 1 } });
  });

  test('that is reloaded joins without an offset, and misses nothing any more', async () => {
    const { zone, socket } = await inZone();
    socket().says({ event: 'gap', data: { room: ROOM, from: 'e-17', to: 'e-20' } });
    const fresh = zone.reload();
    expect(socket().last('subscribe').data).toEqual({ warehouse: 'w', zone: 'z' });
    expect(zone.state).toEqual({ joined: false, latest: {} });
    socket().acks('unsubscribe');
    socket().acks('subscribe', { room: ROOM, offset: 'e-30' });
    socket().says(retained('e-29', { unitsDone: 9 }));
    await expect(fresh).resolves.toEqual({ room: ROOM, offset: 'e-30' });
    expect(zone.state).toEqual({ joined: true, latest: { SHIFT_SNAPSHOT: { unitsDone: 9 } } });
  });

  test('that the server refuses says why, and is asked again by another connect()', async () => {
    const { client, connect, onError } = fakeRooms();
    const zone = client.zone('w', 'z');
    const socket = await connect();
    socket.refuses('subscribe', 'forbidden');
    await expect(zone.ready).rejects.toMatchObject({ code: 'forbidden' });
    expect(zone.error).toMatchObject({ code: 'forbidden' });
    expect(onError).not.toHaveBeenCalled();
    client.disconnect();
    expect(zone.error).toBeUndefined();
    const next = await connect();
    next.acks('subscribe', { room: ROOM });
    await settle();
    expect(zone.joined).toBe(true);
    expect(onError).not.toHaveBeenCalled();
  });

  test('whose refusal nobody looks at reports it to onError', async () => {
    const { client, connect, onError } = fakeRooms();
    client.zone('w', 'z');
    (await connect()).refuses('subscribe', 'forbidden');
    await settle();
    expect(onError).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ code: 'forbidden' }));
  });

  test('whose listener throws reports it to onError, and the others are called', async () => {
    const { zone, socket, onError } = await inZone();
    const heard = vi.fn();
    zone.on('ZONE_UPDATE', () => {
      throw Error('broken');
    });
    zone.on('ZONE_UPDATE', heard);
    socket().publishes(ROOM, 'e-18');
    await settle();
    expect(heard).toHaveBeenCalledTimes(1);
    expect(onError).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ message: 'broken' }));
  });

  test('whose leaving the server refuses reports it to onError when nobody awaits it', async () => {
    const { zone, socket, onError } = await inZone();
    void zone.leave();
    socket().refuses('unsubscribe', 'rate_limited', 100);
    await settle();
    expect(onError).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ code: 'rate_limited' }));
  });

  test('is joined again after each reconnect', async () => {
    const { zone, reconnect } = await inZone();
    await reconnect([{ room: ROOM, offset: 'e-17' }]);
    await settle();
    expect(zone.joined).toBe(true);
  });

  test('keeps the newest event of 1000 names', async () => {
    const { zone, socket } = await inZone();
    for (let n = 0; n < 1001; n++) socket().publishes(ROOM, `e-${18 + n}`, `PICK_${n}`, n);
    expect(Object.keys(zone.latest)).toHaveLength(1000);
    expect(zone.latest).toHaveProperty('PICK_1000', 1000);
    expect(zone.latest).not.toHaveProperty('PICK_0');
  });

  test('and withRooms twice are as once', async () => {
    const { client } = fakeRooms();
    expect(withRooms(client)).toBe(client);
    expect(withRooms(client).warehouse('w').room).toBe('warehouse:w');
  });
});

test('clients that are made by this export, or by the global of pages without a bundler, have handles of themselves', () => {
  const options = { url: 'http://localhost:3001', transports: [webSocket], WebSocket: FakeSocket };
  const forPages = iife.createWebSocketClient<{ COUNT: number }>(options);
  for (const ws of [createWebSocketClient<{ COUNT: number }>(options), createClient<{ COUNT: number }>(options), forPages]) {
    const zone = ws.zone('warehouse-1', 'zone-a');
    zone.on('ZONE_UPDATE', (update) => expectTypeOf(update).toEqualTypeOf<ZoneUpdate>());
    zone.on('COUNT', (count) => expectTypeOf(count).toEqualTypeOf<number>());
    expectTypeOf(zone.latest.SHIFT_SNAPSHOT).toEqualTypeOf<ShiftSnapshot | undefined>();
    expect(ws.rooms).toEqual([zone.room]);
    expect(zone.latest).toEqual({});
    void zone.leave();
    expect(ws.rooms).toEqual([]);
  }
});
