import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { fakeClient, fakeTime, settle } from './fake-socket.js';
import { inRoom, ROOM } from './in-room.js';
import { memory } from './memory.js';

fakeTime({ beforeEach, afterEach });

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
