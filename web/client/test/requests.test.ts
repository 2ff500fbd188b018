import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { fakeClient, fakeTime, settle } from './fake-socket.js';

fakeTime({ beforeEach, afterEach });

const message = { warehouse: 'w', zone: 'z', event: 'ALERT', data: { title: 'Conveyor 3 stopped' } };

describe('publish', () => {
  test('resolves with the place that the event got', async () => {
    const { client, connect } = fakeClient();
    const socket = await connect();
    const published = client.publish(message);
    expect(socket.last('publish').data).toEqual(message);
    socket.acks('publish', { room: 'zone:w:z', offset: 'e-18' });
    await expect(published).resolves.toEqual({ room: 'zone:w:z', offset: 'e-18' });
    expect(vi.getTimerCount()).toBe(2); // of the connection itself: its watchdog and the limit for `connected`
  });

  test('goes to the warehouse without a zone', async () => {
    const { client, connect } = fakeClient();
    const socket = await connect();
    void client.publish({ warehouse: 'w', event: 'ALERT' });
    expect(socket.last('publish').data).toEqual({ warehouse: 'w', event: 'ALERT' });
  });

  test('rejects with the error of the server', async () => {
    const { client, connect } = fakeClient();
    const socket = await connect();
    const published = client.publish(message);
    socket.refuses('publish', 'unavailable', 1000);
    await expect(published).rejects.toMatchObject({ code: 'unavailable', retryAfter: 1000, message: 'publish: unavailable' });
  });

  test.each([
    { give: { ...message, event: '' }, want: { code: 'invalid_event', message: expect.stringMatching(/missing/) } },
    { give: { ...message, event: 'heartbeat' }, want: { code: 'invalid_event', message: expect.stringMatching(/choose another/) } },
    { give: { ...message, event: 'a b' }, want: { code: 'invalid_event', message: expect.stringMatching(/"a b": only/) } },
    { give: { ...message, event: 'E'.repeat(65) }, want: { code: 'invalid_event', message: expect.stringMatching(/65 characters/) } },
    { give: { ...message, warehouse: '' }, want: { code: 'invalid_room' } },
    { give: { ...message, data: 1n }, want: { code: 'invalid_data', message: expect.stringMatching(/no JSON form/) } },
  ])('refuses by itself: $want', async ({ give, want }) => {
    const { client, connect } = fakeClient();
    const socket = await connect();
    await expect(client.publish(give)).rejects.toMatchObject(want);
    expect(socket.sent).toEqual([]);
  });

  test('stops waiting at its timeout, and an answer after it is nobody\'s', async () => {
    const { client, connect, onError } = fakeClient({ requestTimeout: 3000 });
    const socket = await connect();
    const slow = expect(client.publish(message)).rejects.toMatchObject({ code: 'timeout', message: expect.stringMatching(/publish within 3000 ms/) });
    const slower = expect(client.publish(message, { timeout: 5000 })).rejects.toMatchObject({ code: 'timeout' });
    await vi.advanceTimersByTimeAsync(3000);
    await slow;
    await vi.advanceTimersByTimeAsync(2000);
    await slower;
    socket.acks('publish', null);
    expect(client.state.name).toBe('connected');
    expect(onError).not.toHaveBeenCalled();
    await expect(client.publish(message, { timeout: -1 })).rejects.toMatchObject({ code: 'invalid_option' });
  });

  test('without a connection is refused, and is not kept for later', async () => {
    const { client, connect, reconnect, socket } = fakeClient();
    await expect(client.publish(message)).rejects.toMatchObject({ code: 'not_connected' });
    await connect();
    socket().closes(1006);
    await expect(client.publish(message)).rejects.toMatchObject({ code: 'not_connected' });
    expect((await reconnect()).sent).toEqual([]);
  });

  test('rejects when the connection breaks before the answer', async () => {
    const { client, connect } = fakeClient();
    const socket = await connect();
    const published = client.publish(message);
    socket.closes(1012);
    await expect(published).rejects.toMatchObject({ code: 'connection_lost', closeCode: 1012 });
  });

  test('rejects when the socket can not be written to', async () => {
    const { client, connect } = fakeClient();
    const socket = await connect();
    socket.send = () => {
      throw new Error('still connecting');
    };
    await expect(client.publish(message)).rejects.toMatchObject({ code: 'connection_lost', cause: { message: 'still connecting' } });
  });

  test('failing without anyone awaiting it goes to onError', async () => {
    const { client, connect, onError } = fakeClient();
    const socket = await connect();
    void client.publish(message);
    socket.refuses('publish', 'forbidden');
    await settle();
    expect(onError).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ code: 'forbidden' }));
  });
});

test('echo measures the time to the server and back', async () => {
  const { client, connect } = fakeClient();
  const socket = await connect();
  const measured = client.echo({ any: 'thing' });
  expect(socket.last('echo').data).toEqual({ any: 'thing' });
  await vi.advanceTimersByTimeAsync(42);
  socket.acks('echo', { any: 'thing' });
  await expect(measured).resolves.toBe(42);
});

test('answers find their request by its id', async () => {
  const { client, connect } = fakeClient();
  const socket = await connect();
  const first = client.publish({ ...message, event: 'A' });
  const second = client.publish({ ...message, event: 'B' });
  const [a, b] = socket.sent.map(({ id }) => id);
  socket.says({ event: 'ack', id: b, data: { room: 'r', offset: 'e-2' } });
  socket.says({ event: 'ack', id: a, data: { room: 'r', offset: 'e-1' } });
  await expect(first).resolves.toMatchObject({ offset: 'e-1' });
  await expect(second).resolves.toMatchObject({ offset: 'e-2' });
});
