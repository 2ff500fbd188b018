import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { fakeClient, fakeTime, settle } from './fake-socket.js';
import { inRoom, ROOM } from './in-room.js';

fakeTime({ beforeEach, afterEach });

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
