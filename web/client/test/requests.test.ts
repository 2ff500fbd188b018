import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { fakeClient, fakeTime, settle } from './fake-socket.js';

fakeTime({ beforeEach, afterEach });

const message = { warehouse: 'w', zone: 'z', event: 'ALERT', data: { title: 'Conveyor 3 stopped' } };

describe('publish', () => {
  test('resolves with the place that the event got', async () => {
    const { client, connect } = fakeClient();
    const socket = await connect();
    const published = client.publish(message);
    expect(socket.last('publish').data).toEqual({ ...message, idempotencyKey: expect.stringMatching(/^(\d+-){4}1$/) });
    socket.acks('publish', { room: 'zone:w:z', offset: 'e-18' });
    await expect(published).resolves.toEqual({ room: 'zone:w:z', offset: 'e-18' });
    expect(vi.getTimerCount()).toBe(2); // of the connection itself: its watchdog and the limit for `connected`
  });

  test('goes to the warehouse without a zone', async () => {
    const { client, connect } = fakeClient();
    const socket = await connect();
    void client.publish({ warehouse: 'w', event: 'ALERT' });
    expect(socket.last('publish').data).toEqual({ warehouse: 'w', event: 'ALERT', idempotencyKey: expect.any(String) });
  });

  test('passes on what else the message says', async () => {
    const { client, connect } = fakeClient();
    const socket = await connect();
    void client.publish({ ...message, conflate: 'state', idempotencyKey: 'mine' });
    expect(socket.last('publish').data).toEqual({ ...message, conflate: 'state', idempotencyKey: 'mine' });
  });

  test('rejects with the error of the server', async () => {
    const { client, connect } = fakeClient();
    const socket = await connect();
    const published = client.publish(message);
    socket.refuses('publish', 'forbidden');
    await expect(published).rejects.toMatchObject({ code: 'forbidden', message: 'publish: forbidden' });
  });

  test.each([
    { code: 'unavailable', retryAfter: 1000, want: 1500 },
    { code: 'rate_limited', retryAfter: 200, want: 700 },
    { code: 'internal', retryAfter: undefined, want: 500 },
  ])('is sent again after $code, with the same key', async ({ code, retryAfter, want }) => {
    const { client, connect } = fakeClient();
    const socket = await connect();
    const published = client.publish(message);
    socket.refuses('publish', code, retryAfter);
    await vi.advanceTimersByTimeAsync(want - 1);
    expect(socket.sent).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(socket.sent[1]?.data).toEqual(socket.sent[0]?.data);
    socket.acks('publish', { room: 'zone:w:z', offset: 'e-18' });
    await expect(published).resolves.toEqual({ room: 'zone:w:z', offset: 'e-18' });
  });

  test.each([
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
    const slow = expect(client.publish(message)).rejects.toMatchObject({
      code: 'timeout',
      message: expect.stringMatching(/no answer to publish within 3000 ms/),
    });
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

  test('before connect() and after disconnect() is refused', async () => {
    const { client, connect } = fakeClient();
    await expect(client.publish(message)).rejects.toMatchObject({ code: 'not_connected' });
    await connect();
    client.disconnect();
    await expect(client.publish(message)).rejects.toMatchObject({ code: 'not_connected' });
  });

  test('waits for the connection that is to come, and no longer than its timeout', async () => {
    const { client, connect, reconnect, socket } = fakeClient();
    await connect();
    socket().closes(1006);
    const impatient = client.publish(message, { timeout: 100 });
    const patient = client.publish(message);
    const outcome = expect(impatient).rejects.toMatchObject({ code: 'timeout' });
    await vi.advanceTimersByTimeAsync(100);
    await outcome;
    await vi.advanceTimersToNextTimerAsync();
    socket().saysConnected();
    await settle();
    expect(socket().sent).toHaveLength(1);
    socket().acks('publish', { room: 'r', offset: 'e-1' });
    await expect(patient).resolves.toMatchObject({ offset: 'e-1' });
    expect((await reconnect()).sent).toEqual([]);
  });

  test('whose answer is lost with the connection is sent again on the next, with the same key', async () => {
    const { client, connect, reconnect } = fakeClient();
    const socket = await connect();
    const published = client.publish(message);
    const next = await reconnect();
    expect(next.last('publish').data).toEqual(socket.last('publish').data);
    next.acks('publish', { room: 'r', offset: 'e-1' });
    await expect(published).resolves.toMatchObject({ offset: 'e-1' });
  });

  test('that the socket does not take is tried again until the timeout', async () => {
    const { client, connect } = fakeClient();
    const socket = await connect();
    const { send } = socket;
    socket.send = () => {
      throw new Error('buffer full');
    };
    const published = client.publish(message);
    socket.send = send;
    await vi.advanceTimersByTimeAsync(500);
    socket.acks('publish', { room: 'r', offset: 'e-1' });
    await expect(published).resolves.toMatchObject({ offset: 'e-1' });
  });

  test('ends when the client fails', async () => {
    const { client, connect } = fakeClient();
    const socket = await connect();
    const published = client.publish(message);
    socket.closes(4403);
    await expect(published).rejects.toMatchObject({ code: 'forbidden', closeCode: 4403 });
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
