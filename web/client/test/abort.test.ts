import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { fakeClient, fakeTime, settle } from './fake-socket.js';

fakeTime({ beforeEach, afterEach });

const message = { warehouse: 'w', zone: 'a', event: 'SCAN' };
const reason = new Error('the page was left');
const aborted = { code: 'aborted', cause: reason };

describe('a signal that is aborted', () => {
  test('ends connect() and its tries, and tells others that wait for it that the client was closed', async () => {
    const { client, socket, sockets } = fakeClient();
    const { signal, abort } = abortable();
    const outcome = client.connect({ signal });
    const other = client.connect();
    await settle();
    socket().closes(1006);
    expect(client.state.name).toBe('waiting');
    abort();
    await expect(outcome).rejects.toMatchObject(aborted);
    await expect(other).rejects.toMatchObject({ code: 'closed' });
    expect(client.state.name).toBe('closed');
    expect(vi.getTimerCount()).toBe(0);
    expect(sockets).toHaveLength(1);
  });

  test('before the call begins nothing', async () => {
    const { client, sockets, connect } = fakeClient();
    const signal = AbortSignal.abort(reason);
    await expect(client.connect({ signal })).rejects.toMatchObject(aborted);
    expect(client.state.name).toBe('idle');
    expect(sockets).toEqual([]);
    const { sent } = await connect();
    await expect(client.subscribe('w', 'a', { signal })).rejects.toMatchObject(aborted);
    await expect(client.publish(message, { signal })).rejects.toMatchObject(aborted);
    await expect(client.echo(null, { signal })).rejects.toMatchObject(aborted);
    expect(client.rooms).toEqual([]);
    expect(sent).toEqual([]);
  });

  test('after connect() resolved leaves the connection alone', async () => {
    const { client, socket } = fakeClient();
    const { signal, abort } = abortable();
    const outcome = client.connect({ signal });
    await settle();
    socket().saysConnected();
    await outcome;
    abort();
    expect(client.state.name).toBe('connected');
  });

  test('ends subscribe(), and the room is left unless it was wanted before', async () => {
    const { client, connect } = fakeClient();
    const socket = await connect();
    const { signal, abort } = abortable();
    const wanted = client.subscribe('w', 'wanted');
    const outcomes = ['wanted', 'new'].map((zone) => client.subscribe('w', zone, { signal }));
    abort();
    for (const outcome of outcomes) await expect(outcome).rejects.toMatchObject(aborted);
    expect(client.rooms).toEqual(['zone:w:wanted']);
    expect(socket.last('unsubscribe').data).toEqual({ warehouse: 'w', zone: 'new' });
    const [asked] = socket.sent.filter(({ event }) => event === 'subscribe');
    socket.says({ event: 'ack', id: asked?.id, data: { room: 'zone:w:wanted', offset: 'e-1' } });
    await expect(wanted).resolves.toMatchObject({ offset: 'e-1' });
  });

  test('takes back what waits for a connection', async () => {
    const { client, connect, socket } = fakeClient();
    (await connect()).closes(1006);
    const { signal, abort } = abortable();
    const outcomes = [client.publish(message, { signal }), client.echo(null, { signal })];
    void client.publish({ ...message, data: 'kept' }).catch(() => {});
    expect(client.pending).toBe(3);
    abort();
    for (const outcome of outcomes) await expect(outcome).rejects.toMatchObject(aborted);
    expect(client.pending).toBe(1);
    await vi.advanceTimersByTimeAsync(1000);
    socket().saysConnected();
    await settle();
    expect(socket().sent).toMatchObject([{ event: 'publish', data: { data: 'kept' } }]);
  });

  test('of the publication that is under way lets the next one go', async () => {
    const { client, connect } = fakeClient();
    const socket = await connect();
    const { signal, abort } = abortable();
    const outcome = client.publish({ ...message, data: 1 }, { signal });
    socket.refuses('publish', 'rate_limited', 100);
    const next = client.publish({ ...message, data: 2 });
    await vi.advanceTimersByTimeAsync(1000);
    expect(socket.last('publish').data).toMatchObject({ data: 1 });
    abort();
    await expect(outcome).rejects.toMatchObject(aborted);
    expect(socket.last('publish').data).toMatchObject({ data: 2 });
    socket.acks('publish', { room: 'zone:w:a', offset: 'e-1' });
    await expect(next).resolves.toMatchObject({ offset: 'e-1' });
  });

  test('is no news to onError when nobody awaits the call', async () => {
    const { client, connect, onError } = fakeClient();
    await connect();
    const { signal, abort } = abortable();
    void client.subscribe('w', 'a', { signal });
    void client.publish(message, { signal });
    abort();
    await settle();
    expect(onError).not.toHaveBeenCalled();
  });
});

test('calls that are done leave no listener at their signal', async () => {
  const { client, socket } = fakeClient();
  const { signal } = new AbortController();
  const connected = client.connect({ signal });
  await settle();
  socket().saysConnected();
  await connected;
  const outcomes = [client.subscribe('w', 'a', { signal }), client.publish(message, { signal }), client.publish(message, { signal, timeout: 5 })];
  expect(getEventListeners(signal, 'abort')).toHaveLength(3);
  socket().acks('subscribe', { room: 'zone:w:a', offset: 'e-1' });
  socket().refuses('publish', 'forbidden');
  await vi.advanceTimersByTimeAsync(10_000);
  await Promise.allSettled(outcomes);
  await settle();
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});

function abortable() {
  const controller = new AbortController();
  return { signal: controller.signal, abort: () => controller.abort(reason) };
}
