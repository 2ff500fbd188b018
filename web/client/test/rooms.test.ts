import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Gap } from '@zonecast/client';
import { fakeClient, fakeTime, settle } from './fake-socket.js';
import { memory } from './memory.js';

fakeTime({ beforeEach, afterEach });

const ROOM = 'zone:w:z';

/**
 * A client that is in the room at e-17, and what its listeners hear: offsets and gaps, in order.
 */
async function inRoom() {
  const fake = fakeClient();
  const heard: (string | Gap)[] = [];
  fake.client.on('ZONE_UPDATE', (_, { offset }) => heard.push(offset));
  fake.client.on('gap', (gap) => heard.push(gap));
  const socket = await fake.connect();
  const joined = fake.client.subscribe('w', 'z');
  socket.acks('subscribe', { room: ROOM, offset: 'e-17' });
  await joined;
  return { ...fake, heard };
}

describe('subscribe', () => {
  test('resolves with the ack', async () => {
    const { client, connect } = fakeClient();
    const socket = await connect();
    const joined = client.subscribe('w', 'z');
    expect(socket.last('subscribe').data).toEqual({ warehouse: 'w', zone: 'z' });
    socket.acks('subscribe', { room: ROOM, offset: 'e-17' });
    await expect(joined).resolves.toEqual({ room: ROOM, offset: 'e-17' });
  });

  test('asks the server once for each room', async () => {
    const { client, socket } = await inRoom();
    await expect(client.subscribe('w', 'z')).resolves.toEqual({ room: ROOM, offset: 'e-17' });
    const both = [client.subscribe('w'), client.subscribe('w')];
    expect(socket().sent).toHaveLength(2);
    expect(socket().last('subscribe').data).toEqual({ warehouse: 'w' });
    socket().acks('subscribe', { room: 'warehouse:w', offset: 'e-0' });
    await expect(Promise.all(both)).resolves.toHaveLength(2);
  });

  test('needs no second frame for the rooms of the options', async () => {
    const { client, connect } = fakeClient({ warehouse: 'w', zone: 'z' });
    const socket = await connect([
      { room: 'warehouse:w', offset: 'e-0' },
      { room: ROOM, offset: 'e-17' },
    ]);
    await expect(client.subscribe('w', 'z')).resolves.toEqual({ room: ROOM, offset: 'e-17' });
    expect(socket.sent).toEqual([]);
  });

  test('while connecting waits for the connection', async () => {
    const { client, socket, connect } = fakeClient();
    void client.connect();
    const joined = client.subscribe('w', 'z');
    await settle();
    expect(socket().sent).toEqual([]);
    await connect();
    socket().acks('subscribe', { room: ROOM });
    await expect(joined).resolves.toEqual({ room: ROOM });
  });

  test('survives the connection it was asked on', async () => {
    const { client, connect, reconnect } = fakeClient();
    await connect();
    const joined = client.subscribe('w', 'z');
    const socket = await reconnect();
    socket.acks('subscribe', { room: ROOM, offset: 'e-1' });
    await expect(joined).resolves.toEqual({ room: ROOM, offset: 'e-1' });
  });

  test.each([
    { give: ['a b'], want: { code: 'invalid_room', message: expect.stringMatching(/^warehouse is "a b"/) } },
    { give: ['w', 'z:1'], want: { code: 'invalid_room', message: expect.stringMatching(/^zone is "z:1"/) } },
    { give: [undefined], want: { code: 'invalid_room', message: expect.stringMatching(/warehouse is undefined/) } },
  ])('refuses the name $give', async ({ give, want }) => {
    const { client, connect } = fakeClient();
    const socket = await connect();
    await expect(client.subscribe(...(give as [string]))).rejects.toMatchObject(want);
    expect(socket.sent).toEqual([]);
  });

  test('before connect is remembered, and joined on connecting', async () => {
    const { client, connect } = fakeClient();
    const joined = client.subscribe('w', 'z');
    expect(client.rooms).toEqual([ROOM]);
    const socket = await connect();
    socket.acks('subscribe', { room: ROOM, offset: 'e-1' });
    await expect(joined).resolves.toEqual({ room: ROOM, offset: 'e-1' });
  });

  test('that the server refuses rejects and is forgotten', async () => {
    const { client, connect, reconnect, onError } = fakeClient();
    const socket = await connect();
    const joined = client.subscribe('w', 'z');
    socket.refuses('subscribe', 'forbidden');
    await expect(joined).rejects.toMatchObject({ code: 'forbidden', message: 'subscribe: forbidden' });
    expect((await reconnect()).sent).toEqual([]);
    expect(onError).not.toHaveBeenCalled();
  });

  test('that nobody awaits reports the refusal to onError', async () => {
    const { client, connect, onError } = fakeClient();
    const socket = await connect();
    void client.subscribe('w', 'z');
    socket.refuses('subscribe', 'forbidden');
    await settle();
    expect(onError).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ code: 'forbidden' }));
  });

  test.each([
    { code: 'unavailable', retryAfter: 1000, want: 1500 },
    { code: 'rate_limited', retryAfter: 200, want: 700 },
    { code: 'limit_reached', retryAfter: 5000, want: 5500 },
    { code: 'internal', retryAfter: undefined, want: 500 },
  ])('is asked again after $code', async ({ code, retryAfter, want }) => {
    const { client, connect } = fakeClient();
    const socket = await connect();
    const joined = client.subscribe('w', 'z');
    socket.refuses('subscribe', code, retryAfter);
    await vi.advanceTimersByTimeAsync(want - 1);
    expect(socket.sent).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(socket.sent).toHaveLength(2);
    socket.acks('subscribe', { room: ROOM, offset: 'e-3' });
    await expect(joined).resolves.toEqual({ room: ROOM, offset: 'e-3' });
  });

  test('is not asked again once it was unsubscribed', async () => {
    const { client, connect } = fakeClient();
    const socket = await connect();
    const joined = client.subscribe('w', 'z');
    const refused = expect(joined).rejects.toMatchObject({ code: 'not_subscribed' });
    socket.refuses('subscribe', 'unavailable', 1000);
    const left = client.unsubscribe('w', 'z');
    socket.refuses('unsubscribe', 'not_subscribed');
    await left;
    await refused;
    await vi.advanceTimersByTimeAsync(5000);
    expect(socket.sent.map(({ event }) => event)).toEqual(['subscribe', 'unsubscribe']);
  });
});

describe('unsubscribe', () => {
  test('resolves with the ack, and events stop at once', async () => {
    const { client, socket, heard, reconnect } = await inRoom();
    const left = client.unsubscribe('w', 'z');
    socket().publishes(ROOM, 'e-18');
    expect(socket().last('unsubscribe').data).toEqual({ warehouse: 'w', zone: 'z' });
    socket().acks('unsubscribe', { room: ROOM });
    await expect(left).resolves.toBeUndefined();
    expect(heard).toEqual([]);
    expect((await reconnect()).sent).toEqual([]);
  });

  test('of a room that was not joined is an error', async () => {
    const { client, connect } = fakeClient();
    await connect();
    await expect(client.unsubscribe('w')).rejects.toMatchObject({ code: 'not_subscribed', message: 'warehouse:w is not subscribed to' });
  });

  test('that the server refuses rejects; the events stop all the same', async () => {
    const { client, socket, heard, reconnect } = await inRoom();
    const left = client.unsubscribe('w', 'z');
    socket().refuses('unsubscribe', 'rate_limited', 100);
    await expect(left).rejects.toMatchObject({ code: 'rate_limited', retryAfter: 100 });
    socket().publishes(ROOM, 'e-18');
    expect(heard).toEqual([]);
    expect((await reconnect()).address.search).toBe('');
  });

  test('is done when the connection breaks', async () => {
    const { client, socket, reconnect } = await inRoom();
    const left = client.unsubscribe('w', 'z');
    socket().closes(1006);
    await expect(left).resolves.toBeUndefined();
    expect((await reconnect()).sent).toEqual([]);
  });

  test('and subscribe again is not undone by the answer to the first subscribe', async () => {
    const { client, connect, reconnect } = fakeClient();
    const socket = await connect();
    const first = expect(client.subscribe('w', 'z')).rejects.toMatchObject({ code: 'not_subscribed' });
    const { id } = socket.last('subscribe');
    void client.unsubscribe('w', 'z');
    void client.subscribe('w', 'z');
    socket.says({ event: 'error', id, data: { code: 'forbidden', message: 'no' } });
    await first;
    expect((await reconnect()).sent).toMatchObject([{ event: 'subscribe', data: { warehouse: 'w', zone: 'z' } }]);
  });

  test('while waiting needs no server', async () => {
    const { client, socket, reconnect } = await inRoom();
    socket().closes(1006);
    await expect(client.unsubscribe('w', 'z')).resolves.toBeUndefined();
    expect((await reconnect()).sent).toEqual([]);
  });

  test('while connecting leaves the rooms of the address afterwards', async () => {
    const { client, socket } = fakeClient({ warehouse: 'w', zone: 'z' });
    void client.connect();
    await settle();
    await client.unsubscribe('w', 'z');
    socket().saysConnected([{ room: 'warehouse:w' }, { room: ROOM }]);
    expect(socket().sent).toMatchObject([{ event: 'unsubscribe', data: { warehouse: 'w', zone: 'z' } }]);
  });

  test('and subscribe again begins anew, in spite of what was still on its way', async () => {
    const { client, socket, heard } = await inRoom();
    void client.unsubscribe('w', 'z');
    const joined = client.subscribe('w', 'z');
    expect(socket().last('subscribe').data).toEqual({ warehouse: 'w', zone: 'z' });
    socket().publishes(ROOM, 'e-18');
    socket().acks('unsubscribe', { room: ROOM });
    socket().acks('subscribe', { room: ROOM, offset: 'e-25' });
    await expect(joined).resolves.toEqual({ room: ROOM, offset: 'e-25' });
    socket().publishes(ROOM, 'e-26');
    expect(heard).toEqual(['e-18', 'e-26']);
  });
});

describe('resume', () => {
  test('names each room with its last offset in the address, the rooms of the options too, and needs no frame', async () => {
    const { client, connect, reconnect } = fakeClient({ warehouse: 'w', zone: 'z', userId: 'u' });
    const socket = await connect([{ room: 'warehouse:w', offset: 'e-0' }, { room: ROOM, offset: 'e-17' }]);
    void client.subscribe('w2');
    socket.acks('subscribe', { room: 'warehouse:w2', offset: 'f-3' });
    socket.publishes(ROOM, 'e-18');
    const rooms = ['warehouse:w', ROOM, 'warehouse:w2'].map((room) => ({ room, offset: 'e-99' }));
    const next = await reconnect(rooms);
    expect(next.address.search).toBe('?cursor=warehouse:w@e-0,zone:w:z@e-18,warehouse:w2@f-3&userId=u');
    expect(next.sent).toEqual([]);
  });

  test('asks by frames for the rooms that the server did not join, from their last offsets', async () => {
    const { client, connect, reconnect } = fakeClient({ warehouse: 'w', zone: 'z' });
    await connect([{ room: 'warehouse:w', offset: 'e-0' }, { room: ROOM, offset: 'e-17' }]);
    void client.subscribe('w2');
    expect((await reconnect()).sent.map(({ event, data }) => ({ event, data }))).toEqual([
      { event: 'subscribe', data: { warehouse: 'w', offset: 'e-0' } },
      { event: 'subscribe', data: { warehouse: 'w', zone: 'z', offset: 'e-17' } },
      { event: 'subscribe', data: { warehouse: 'w2' } },
    ]);
  });

  test('puts only as many rooms into the address as fit', async () => {
    const { client, connect, reconnect } = fakeClient();
    const socket = await connect();
    for (let n = 0; n < 128; n++) {
      void client.subscribe('w'.repeat(60), `z-${n}`);
      socket.acks('subscribe', { room: 'r', offset: 'e-1' });
    }
    const next = await reconnect();
    expect(next.address.search.length).toBeGreaterThan(4000);
    expect(next.address.search.length).toBeLessThan(4300);
    expect(next.address.search).not.toContain('z-127@');
    await vi.advanceTimersByTimeAsync(5000); // at the pace of the server's limit
    expect(next.sent.map(({ data }) => data?.['zone'])).toContain('z-127');
  });

  test('uses the address again when the first connection never stood', async () => {
    const { client, socket } = fakeClient({ warehouse: 'w' });
    void client.connect();
    await settle();
    socket().closes(1006);
    await vi.advanceTimersToNextTimerAsync();
    expect(socket().address.search).toBe('?warehouse=w');
  });

  test('works after disconnect and connect as well', async () => {
    const { client, connect } = await inRoom();
    client.disconnect();
    expect((await connect()).last('subscribe').data).toMatchObject({ offset: 'e-17' });
  });

  test('delivers what was missed, in order and once', async () => {
    const { socket, heard, reconnect } = await inRoom();
    socket().publishes(ROOM, 'e-18');
    await reconnect();
    socket().acks('subscribe', { room: ROOM, offset: 'e-20' });
    for (const offset of ['e-18', 'e-19', 'e-19', 'e-20', 'e-18', 'e-21']) socket().publishes(ROOM, offset);
    expect(heard).toEqual(['e-18', 'e-19', 'e-20', 'e-21']);
  });

  test('that breaks in the middle goes on from there', async () => {
    const { socket, heard, reconnect } = await inRoom();
    await reconnect();
    socket().acks('subscribe', { room: ROOM, offset: 'e-20' });
    socket().publishes(ROOM, 'e-18');
    await reconnect();
    expect(socket().last('subscribe').data).toMatchObject({ offset: 'e-18' });
    socket().acks('subscribe', { room: ROOM, offset: 'e-20' });
    socket().publishes(ROOM, 'e-19');
    socket().publishes(ROOM, 'e-20');
    expect(heard).toEqual(['e-18', 'e-19', 'e-20']);
  });

  test('passes on a gap and goes on after it, in the next epoch too', async () => {
    const { socket, heard, reconnect } = await inRoom();
    await reconnect();
    socket().acks('subscribe', { room: ROOM, offset: 'f-5' });
    const gap = { room: ROOM, from: 'e-17', to: 'f-3' };
    socket().says({ event: 'gap', data: gap });
    for (const offset of ['f-3', 'f-4', 'f-5']) socket().publishes(ROOM, offset);
    expect(heard).toEqual([gap, 'f-4', 'f-5']);
    await reconnect();
    expect(socket().last('subscribe').data).toMatchObject({ offset: 'f-5' });
  });

  test('that is refused for good is forgotten and reported', async () => {
    const { socket, reconnect, onError } = await inRoom();
    await reconnect();
    socket().refuses('subscribe', 'forbidden');
    expect(onError).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ code: 'forbidden' }));
    expect((await reconnect()).sent).toEqual([]);
  });
});

describe('offsets', () => {
  test('retained messages are delivered as they come, and are no part of the counting', async () => {
    const { client, socket, heard, reconnect } = await inRoom();
    const metas = vi.fn();
    client.on('ZONE_UPDATE', (_, { offset, retained }) => metas(offset, retained));
    const retained = { event: 'ZONE_UPDATE', room: ROOM, time: 0, retained: true, data: {} };
    socket().says({ ...retained, offset: 'e-15' });
    socket().says({ ...retained, offset: 'e-12' });
    socket().says({ ...retained, offset: 'd-99' });
    socket().publishes(ROOM, 'e-18');
    expect(heard).toEqual(['e-15', 'e-12', 'd-99', 'e-18']);
    expect(metas.mock.calls).toEqual([['e-15', true], ['e-12', true], ['d-99', true], ['e-18', undefined]]);
    await reconnect();
    expect(socket().last('subscribe').data).toMatchObject({ offset: 'e-18' });
  });

  test('retained events that a connection still owed are asked for again, until all have come', async () => {
    const { client, socket, connect, reconnect } = fakeClient({ warehouse: 'w', storage: memory(), keepOffsets: true });
    const heard: unknown[] = [];
    client.onAny((_, { event, offset, retained }) => event !== 'connected' && heard.push([event, offset, retained]));
    const says = (event: string, offset: string) =>
      socket().says({ event, room: 'warehouse:w', offset, time: 0, retained: true, data: {} });
    const joined = [{ room: 'warehouse:w', offset: 'e-17', retained: 2 }];
    await connect(joined);
    says('A', 'e-3');
    await reconnect(joined);
    expect(socket().address.search).toBe('?cursor=warehouse:w@e-17.retained');
    says('A', 'e-3');
    says('B', 'e-5');
    await reconnect([{ room: 'warehouse:w', offset: 'e-18' }]);
    expect(socket().address.search).toBe('?cursor=warehouse:w@e-17');
    socket().publishes('warehouse:w', 'e-18');
    expect(heard).toEqual([
      ['A', 'e-3', true],
      ['A', 'e-3', true],
      ['B', 'e-5', true],
      ['ZONE_UPDATE', 'e-18', undefined],
    ]);
    const resubscribed = client.subscribe('w', 'z');
    socket().acks('subscribe', { room: ROOM, offset: 'e-1', retained: 1 });
    await expect(resubscribed).resolves.toEqual({ room: ROOM, offset: 'e-1' });
    await reconnect([{ room: 'warehouse:w', offset: 'e-18' }]);
    expect(socket().address.search).toBe('?cursor=warehouse:w@e-18,zone:w:z@e-1.retained');
  });

  test('what lies before the place where we joined is not for us', async () => {
    const { socket, heard } = await inRoom();
    socket().publishes(ROOM, 'e-17');
    expect(heard).toEqual([]);
  });

  test('messages before the ack leave no hole', async () => {
    const { client, connect } = fakeClient();
    const heard = vi.fn();
    client.onAny((_, { event, offset }) => heard(event, offset));
    const socket = await connect();
    void client.subscribe('w', 'z');
    heard.mockClear();
    for (const offset of ['e-12', 'e-15']) socket.publishes(ROOM, offset);
    socket.acks('subscribe', { room: ROOM, offset: 'e-17' });
    socket.publishes(ROOM, 'e-18');
    expect(heard.mock.calls.map(([, offset]) => offset)).toEqual(['e-12', 'e-15', 'e-18']);
  });

  test('a second ack changes nothing', async () => {
    const { socket, reconnect } = await inRoom();
    socket().acks('subscribe', { room: ROOM, offset: 'e-99' });
    await reconnect();
    expect(socket().last('subscribe').data).toMatchObject({ offset: 'e-17' });
  });

  test('a hole that the server did not announce is a gap', async () => {
    const { socket, heard } = await inRoom();
    for (const offset of ['e-18', 'e-21', 'f-3', 'f-4']) socket().publishes(ROOM, offset);
    expect(heard).toEqual([
      'e-18',
      { room: ROOM, from: 'e-18', to: 'e-20' },
      'e-21',
      { room: ROOM, from: 'e-21', to: 'f-2' },
      'f-3',
      'f-4',
    ]);
  });

  test('count further than a number is exact', async () => {
    const { socket, heard, reconnect } = await inRoom();
    socket().says({ event: 'gap', data: { room: ROOM, from: 'e-17', to: 'f-9007199254740991' } });
    heard.length = 0;
    for (const n of ['9007199254740992', '9007199254740993', '9007199254740993']) socket().publishes(ROOM, `f-${n}`);
    expect(heard).toEqual(['f-9007199254740992', 'f-9007199254740993']);
    await reconnect();
    expect(socket().last('subscribe').data).toMatchObject({ offset: 'f-9007199254740993' });
  });

  test('a message with an offset that is none is delivered all the same', async () => {
    const { socket, heard } = await inRoom();
    socket().publishes(ROOM, 'E-1');
    expect(heard).toEqual(['E-1']);
  });

  test('a gap or message of a room that nobody wants is ignored', async () => {
    const { socket, heard } = await inRoom();
    socket().says({ event: 'gap', data: { room: 'warehouse:other', from: 'e-1', to: 'e-2' } });
    socket().says({ event: 'gap', data: null });
    socket().publishes('warehouse:other', 'e-1');
    expect(heard).toEqual([]);
  });

  test('a gap that leads back is followed, and told once', async () => {
    const { socket, heard } = await inRoom();
    const gap = { room: ROOM, from: 'e-17', to: 'e-2' };
    for (let twice = 0; twice < 2; twice++) socket().says({ event: 'gap', data: gap });
    for (const offset of ['e-3', 'e-3', 'e-4']) socket().publishes(ROOM, offset);
    expect(heard).toEqual([gap, 'e-3', 'e-4']);
  });
});

describe('a late listener', () => {
  const retained = { event: 'SHIFT_SNAPSHOT', room: ROOM, offset: 'e-15', time: 0, retained: true, data: 1 };

  /** Has joined, and got the retained event with nobody listening. */
  async function joinedUnheard() {
    const fake = await inRoom();
    fake.socket().says(retained);
    await settle();
    const late: unknown[] = [];
    const listener = (data: unknown, meta: { retained?: boolean | undefined }) => late.push([data, meta.retained]);
    return { ...fake, late, listener };
  }

  test('gets the retained event, once, however often it is added', async () => {
    const { client, late, listener } = await joinedUnheard();
    client.on('SHIFT_SNAPSHOT', listener);
    client.on('SHIFT_SNAPSHOT', listener);
    await settle();
    client.on('SHIFT_SNAPSHOT', listener);
    client.on('ALERT', listener);
    await settle();
    expect(late).toEqual([[1, true]]);
  });

  test('gets it by once and onAny too', async () => {
    const { client, socket, late, listener } = await joinedUnheard();
    client.once('SHIFT_SNAPSHOT', listener);
    client.onAny(listener);
    await settle();
    expect(late).toEqual([[1, true], [1, true]]);
    socket().publishes(ROOM, 'e-18', 'SHIFT_SNAPSHOT', 2);
    expect(late.slice(2)).toEqual([[2, undefined]]);
  });

  test('gets its newest state, marked retained', async () => {
    const { client, socket, late, listener } = await joinedUnheard();
    socket().publishes(ROOM, 'e-18', 'SHIFT_SNAPSHOT', 2);
    client.on('SHIFT_SNAPSHOT', listener);
    await settle();
    expect(late).toEqual([[2, true]]);
  });

  test('that got the newer one meanwhile does not get the older one', async () => {
    const { client, socket, late, listener } = await joinedUnheard();
    client.on('SHIFT_SNAPSHOT', listener);
    socket().publishes(ROOM, 'e-18', 'SHIFT_SNAPSHOT', 2);
    await settle();
    expect(late).toEqual([[2, undefined]]);
  });

  test.each(['SHIFT_SNAPSHOT', undefined])('that a listener adds for %s gets it once', async (event) => {
    const { client, socket, listener, late } = await joinedUnheard();
    client.once('SHIFT_SNAPSHOT', () => (event ? client.on(event, listener) : client.onAny(listener)));
    await settle();
    socket().says({ ...retained, data: 2 });
    await settle();
    expect(late).toEqual([[1, true], [2, true]]);
  });

  test('that is removed at once gets nothing, nor after the room was left', async () => {
    const { client, socket, late, listener } = await joinedUnheard();
    client.on('SHIFT_SNAPSHOT', listener)();
    const left = client.unsubscribe('w', 'z');
    client.on('SHIFT_SNAPSHOT', listener);
    socket().acks('unsubscribe');
    await left;
    expect(late).toEqual([]);
  });
});
