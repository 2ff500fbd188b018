import { afterEach, beforeEach, expect, expectTypeOf, test, vi } from 'vitest';
import { type Alert, createWebSocketClient, type ShiftSnapshot } from '@zonecast/client';
import { FakeSocket, fakeClient, fakeTime, settle } from './fake-socket.js';

fakeTime({ beforeEach, afterEach });

async function inRoom() {
  const fake = fakeClient({ warehouse: 'w' });
  const socket = await fake.connect([{ room: 'warehouse:w', offset: 'e-0' }]);
  let n = 0;
  const publish = (event: string, data?: unknown) => socket.publishes('warehouse:w', `e-${++n}`, event, data);
  return { ...fake, publish, say: (event: string, data: unknown) => socket.says({ event, data }) };
}

test('a listener gets the data and where it comes from', async () => {
  const { client, publish } = await inRoom();
  const heard = vi.fn();
  client.on('ALERT', heard);
  publish('ALERT', { id: 'a' });
  publish('ZONE_UPDATE');
  const meta = { event: 'ALERT', room: 'warehouse:w', offset: 'e-1', time: 1_767_225_600_000 };
  expect(heard).toHaveBeenCalledExactlyOnceWith({ id: 'a' }, meta);
});

test('off, and what on returns, remove the listener', async () => {
  const { client, publish } = await inRoom();
  const heard = vi.fn();
  client.on('A', heard);
  client.off('A', heard);
  client.off('B', heard);
  const stop = client.on('A', heard);
  stop();
  stop();
  publish('A');
  expect(heard).not.toHaveBeenCalled();
});

test('once is for one event', async () => {
  const { client, publish } = await inRoom();
  const heard = vi.fn();
  client.once('A', heard);
  client.once('B', heard)();
  publish('A', 1);
  publish('A', 2);
  publish('B', 3);
  expect(heard.mock.calls.map(([data]) => data)).toEqual([1]);
});

test('onAny gets every event after its own listeners', async () => {
  const { client, publish, say } = await inRoom();
  const heard: string[] = [];
  const stop = client.onAny((_, { event }) => heard.push(`any ${event}`));
  client.on('A', () => heard.push('A'));
  publish('A');
  say('heartbeat', { connections: 3, time: 1 });
  say('drain', { retryAfter: 100_000 });
  stop();
  publish('A');
  expect(heard).toEqual(['A', 'any A', 'any heartbeat', 'any drain', 'A']);
});

test('an event without listeners, or one that the protocol may get later, does no harm', async () => {
  const { client, publish, say, onError } = await inRoom();
  const heard = vi.fn();
  client.onAny(heard);
  say('novelty', { a: 1 });
  publish('toString');
  publish('__proto__');
  expect(heard.mock.calls.map(([, { event }]) => event)).toEqual(['novelty', 'toString', '__proto__']);
  expect(onError).not.toHaveBeenCalled();
});

test('a listener that throws or rejects does not stop the others', async () => {
  const { client, publish, onError } = await inRoom();
  const heard = vi.fn();
  client.on('A', () => {
    throw new Error('thrown');
  });
  client.on('A', () => Promise.reject(new Error('rejected')));
  client.on('A', heard);
  client.onAny(heard);
  publish('A');
  await settle();
  expect(heard).toHaveBeenCalledTimes(2);
  expect(onError.mock.calls.map(([error]) => (error as Error).message)).toEqual(['thrown', 'rejected']);
});

test('listeners may come and go while they are called', async () => {
  const { client, publish } = await inRoom();
  const heard: string[] = [];
  const late = () => heard.push('late');
  const stop = client.on('A', () => {
    heard.push('first');
    stop();
    client.on('A', late);
  });
  client.on('A', () => heard.push('second'));
  publish('A');
  publish('A');
  expect(heard).toEqual(['first', 'second', 'second', 'late']);
});

test('after disconnect in a listener no event follows', async () => {
  const { client, connect } = fakeClient({ warehouse: 'w' });
  const socket = await connect([{ room: 'warehouse:w', offset: 'e-0' }]);
  const heard = vi.fn();
  client.on('A', heard);
  client.on('gap', () => client.disconnect());
  socket.publishes('warehouse:w', 'e-3', 'A');
  expect(heard).not.toHaveBeenCalled();
});

test('an error frame goes to onError and to the listeners of error', async () => {
  const { client, say, onError } = await inRoom();
  const data = { code: 'bad_frame', message: 'the frame is not JSON' };
  say('error', data);
  expect(onError).toHaveBeenCalledExactlyOnceWith(expect.objectContaining(data));
  const heard = vi.fn();
  client.on('error', heard);
  say('error', data);
  expect(heard).toHaveBeenCalledExactlyOnceWith(data, { event: 'error' });
  expect(onError).toHaveBeenCalledTimes(2);
});

test('an onError that throws, and none at all, end in the console', async () => {
  const log = vi.spyOn(console, 'error').mockImplementation(() => {});
  for (const onError of [
    undefined,
    () => {
      throw new Error('second');
    },
  ]) {
    const client = createWebSocketClient({ url: 'http://localhost', WebSocket: FakeSocket, ...(onError && { onError }) });
    client.onState(() => {
      throw new Error('first');
    });
    client.disconnect();
    await settle();
  }
  expect(log.mock.calls.map((errors) => errors.map((error: Error) => error.message))).toEqual([['first'], ['first', 'second']]);
});

test('a listener that is no function is reported when it is called, and stops nobody', async () => {
  const { client, publish, onError } = await inRoom();
  const heard = vi.fn();
  client.on('A', undefined as never);
  client.on('A', heard);
  publish('A');
  await settle();
  expect(heard).toHaveBeenCalledOnce();
  expect(onError).toHaveBeenCalledExactlyOnceWith(expect.any(TypeError));
});

test('types follow the name of the event', () => {
  const client = createWebSocketClient<{ PICK_DONE: { sku: string }; ALERT: { mine: true } }>({
    url: 'http://localhost',
    WebSocket: FakeSocket,
  });
  client.on('SHIFT_SNAPSHOT', (data) => expectTypeOf(data).toEqualTypeOf<ShiftSnapshot>());
  client.on('PICK_DONE', (data, meta) => {
    expectTypeOf(data).toEqualTypeOf<{ sku: string }>();
    expectTypeOf(meta.offset).toEqualTypeOf<string>();
  });
  client.on('ALERT', (data) => expectTypeOf(data).toEqualTypeOf<{ mine: true }>());
  client.on('gap', (data, meta) => {
    expectTypeOf(data).toEqualTypeOf<{ room: string; from: string; to: string }>();
    expectTypeOf(meta.offset).toEqualTypeOf<undefined>();
  });
  client.on('ANYTHING', (data) => expectTypeOf(data).toEqualTypeOf<unknown>());
  createWebSocketClient({ url: 'http://localhost', WebSocket: FakeSocket }).on('ALERT', (data) =>
    expectTypeOf(data).toEqualTypeOf<Alert>(),
  );
});
