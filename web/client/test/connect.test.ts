import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { CloseCode, longPolling, serverSentEvents, type State, webSocket } from '@zonecast/client';
import { fakeClient, fakeTime, recordStates, settle } from './fake-socket.js';

fakeTime({ beforeEach, afterEach });
afterEach(() => void vi.unstubAllGlobals());

const names = (states: State[]) => states.map(({ name }) => name);

describe('connect', () => {
  test('dials the address with the rooms and the user, and resolves with the connected frame', async () => {
    const { client, socket } = fakeClient({ warehouse: 'w-1', zone: 'z', userId: 'ann lee' });
    const states = recordStates(client);
    expect(client.state).toEqual({ name: 'idle' });
    const connected = client.connect();
    await settle();
    expect(socket().address.href).toBe('ws://localhost:3001/ws?warehouse=w-1&zone=z&userId=ann+lee');
    socket().saysConnected([{ room: 'warehouse:w-1', offset: 'e-0' }]);
    await expect(connected).resolves.toMatchObject({ connectionId: 'c-1', node: 'backend-1', heartbeat: 30_000 });
    expect(states).toMatchObject([{ name: 'connecting', attempt: 0 }, { name: 'connected', info: { node: 'backend-1' } }]);
    await expect(client.connect()).resolves.toMatchObject({ connectionId: 'c-1' });
  });

  test('leaves out what was not given', async () => {
    const { client, socket } = fakeClient();
    void client.connect();
    await settle();
    expect(socket().address.href).toBe('ws://localhost:3001/ws?');
  });

  test('called twice dials once', async () => {
    const { client, sockets, socket } = fakeClient();
    const both = [client.connect(), client.connect()];
    await settle();
    socket().saysConnected();
    await expect(Promise.all(both)).resolves.toHaveLength(2);
    expect(sockets).toHaveLength(1);
  });

  test('rejects after the first failure without autoReconnect', async () => {
    const { client, socket } = fakeClient({ autoReconnect: false });
    const connected = client.connect();
    await settle();
    socket().onerror?.({ message: 'connect ECONNREFUSED' });
    socket().closes(1006);
    await expect(connected).rejects.toMatchObject({
      code: 'connect_failed',
      closeCode: 1006,
      message: 'localhost:3001 by websocket: closed with code 1006: connect ECONNREFUSED',
      cause: 'connect ECONNREFUSED',
    });
    expect(client.state).toMatchObject({ name: 'failed', error: { code: 'connect_failed' } });
  });

  test('keeps trying with autoReconnect', async () => {
    const { client, sockets, socket } = fakeClient();
    const connected = client.connect();
    await settle();
    socket().closes(1006);
    await vi.advanceTimersByTimeAsync(500);
    expect(sockets).toHaveLength(2);
    socket().saysConnected();
    await expect(connected).resolves.toMatchObject({ connectionId: 'c-1' });
  });

  test('takes silence instead of a connected frame for a failure', async () => {
    const { client, socket } = fakeClient({ autoReconnect: false, connectTimeout: 2000 });
    const connected = client.connect();
    await settle();
    socket().says({ event: 'heartbeat', data: { connections: 1, time: 0 } });
    await vi.advanceTimersByTimeAsync(2000);
    await expect(connected).rejects.toMatchObject({ code: 'connect_failed', message: expect.stringMatching(/within 2000 ms/) });
  });

  test.each([null, [], { rooms: 'all' }, { rooms: [null] }])('refuses a connected frame with data %j', async (data) => {
    const { client, socket } = fakeClient({ autoReconnect: false });
    const connected = client.connect();
    await settle();
    socket().says({ event: 'connected', data });
    await expect(connected).rejects.toMatchObject({ code: 'connect_failed' });
  });

  test('takes the first connected frame alone', async () => {
    const { client, socket, connect } = fakeClient();
    await connect();
    const states = recordStates(client);
    socket().saysConnected([], 1);
    await vi.advanceTimersByTimeAsync(1000);
    expect(states).toEqual([]);
  });

  test('while waiting resolves with the next connection, not the last', async () => {
    const { client, socket, connect } = fakeClient();
    (await connect()).closes(1006);
    const resolved = vi.fn();
    void client.connect().then(resolved);
    await settle();
    expect(resolved).not.toHaveBeenCalled();
    socket().saysConnected();
    await settle();
    expect(resolved).toHaveBeenCalledOnce();
  });

  test('reports a WebSocket that can not be made', async () => {
    const WebSocket = class {
      constructor() {
        throw new Error('mixed content');
      }
    };
    const { client } = fakeClient({ autoReconnect: false, WebSocket: WebSocket as never });
    await expect(client.connect()).rejects.toMatchObject({ code: 'connect_failed', message: expect.stringMatching(/mixed content/) });
  });

  test('failing without anyone awaiting it goes to onError', async () => {
    const { client, socket, onError } = fakeClient({ autoReconnect: false });
    void client.connect();
    await settle();
    socket().closes(1006);
    await settle();
    expect(onError).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ code: 'connect_failed' }));
  });
});

describe('reconnect', () => {
  test('waits with full jitter, longer and longer, then gives up', async () => {
    const { client, socket, sockets } = fakeClient({ maxAttempts: 10 });
    const states = recordStates(client);
    const connected = client.connect();
    const outcome = expect(connected).rejects.toMatchObject({
      code: 'gave_up',
      closeCode: 1006,
      message: expect.stringMatching(/^gave up after 10 attempts: localhost:3001 by websocket: /),
    });
    const waits: number[] = [];
    for (;;) {
      await settle();
      socket().closes(1006);
      if (client.state.name !== 'waiting') break;
      waits.push(client.state.retryAt - Date.now());
      await vi.advanceTimersToNextTimerAsync();
    }
    expect(waits).toEqual([500, 625, 625, 625, 625, 625, 625, 2000, 4000, 8000]);
    expect(sockets).toHaveLength(11);
    expect(client.state).toMatchObject({ name: 'failed', error: { code: 'gave_up' } });
    expect(states.at(-3)).toMatchObject({ name: 'waiting', attempt: 10 });
    expect(states.at(-2)).toMatchObject({ name: 'connecting', attempt: 10 });
    await outcome;
    expect(vi.getTimerCount()).toBe(0);
  });

  test('never gives up by default', async () => {
    const { client, socket } = fakeClient({ backoffCap: 2000 });
    void client.connect();
    for (let i = 0; i < 200; i++) {
      await settle();
      socket().closes(1006);
      expect(client.state).toMatchObject({ name: 'waiting', attempt: i + 1 });
      await vi.advanceTimersByTimeAsync(1000);
    }
  });

  test('counts from the last good connection', async () => {
    const { client, socket, connect } = fakeClient({ maxAttempts: 1 });
    await connect();
    for (let i = 0; i < 5; i++) {
      socket().closes(1006);
      expect(client.state).toMatchObject({ name: 'waiting', attempt: 1 });
      await vi.advanceTimersByTimeAsync(500);
      socket().saysConnected();
      await settle();
    }
    socket().closes(1006);
    await vi.advanceTimersByTimeAsync(500);
    socket().closes(1006);
    expect(client.state).toMatchObject({ name: 'failed', error: { code: 'gave_up' } });
  });

  test('does not happen without autoReconnect', async () => {
    const { client, connect } = fakeClient({ autoReconnect: false });
    (await connect()).closes(1012, 'restart');
    expect(client.state).toMatchObject({ name: 'failed', error: { code: 'connection_lost', closeCode: 1012 } });
  });

  test.each([1001, 1005, 1006, 1011, 1012, 4408, 4429, 4999])('happens after close code %d', async (code) => {
    const { client, connect } = fakeClient();
    (await connect()).closes(code);
    expect(client.state).toMatchObject({ name: 'waiting', error: { code: 'connection_lost', closeCode: code } });
  });

  test.each([
    { code: CloseCode.bad_frame, name: 'bad_frame' },
    { code: CloseCode.unauthenticated, name: 'unauthenticated' },
    { code: CloseCode.forbidden, name: 'forbidden' },
    { code: CloseCode.replaced, name: 'replaced' },
  ])('does not happen after close code $code', async ({ code, name }) => {
    const { client, socket, connect, sockets } = fakeClient({ maxAttempts: Infinity });
    (await connect()).closes(code, 'says why');
    expect(client.state).toMatchObject({
      name: 'failed',
      error: { code: name, closeCode: code, message: `localhost:3001 by websocket: closed with code ${code} says why` },
    });
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(sockets).toHaveLength(1);

    const again = client.connect();
    expect(client.state).toEqual({ name: 'connecting', attempt: 0 });
    await settle();
    socket().saysConnected();
    await expect(again).resolves.toMatchObject({ connectionId: 'c-1' });
  });

  test('rejects connect at once when the server refuses us, with what it said first', async () => {
    const { client, socket } = fakeClient();
    const connected = client.connect();
    await settle();
    socket().says({ event: 'error', data: { code: 'unauthenticated', message: 'the token expired' } });
    socket().closes(4401);
    await expect(connected).rejects.toMatchObject({ code: 'unauthenticated', cause: { message: 'the token expired' } });
  });

  test('comes back when drain says, without jitter', async () => {
    const { client, socket, sockets, connect } = fakeClient();
    await connect();
    socket().says({ event: 'drain', data: { retryAfter: 1840 } });
    socket().says({ event: 'error', data: { code: 'bad_frame', message: 'in between' } });
    await vi.advanceTimersByTimeAsync(840);
    socket().closes(1012);
    expect(client.state).toMatchObject({ name: 'waiting', retryAt: Date.now() + 1000 });
    await vi.advanceTimersByTimeAsync(999);
    expect(sockets).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(sockets).toHaveLength(2);
  });

  test('does not chase a server that is always leaving at once', async () => {
    const { client, connect } = fakeClient();
    (await connect()).says({ event: 'drain', data: { retryAfter: 0 } });
    await settle();
    expect(client.state).toMatchObject({ name: 'waiting', retryAt: Date.now() + 500 });
  });

  test('leaves a draining server by itself', async () => {
    const { client, socket, sockets, connect } = fakeClient();
    await connect();
    socket().says({ event: 'drain', data: { retryAfter: 1840 } });
    await vi.advanceTimersByTimeAsync(1839);
    expect(client.state.name).toBe('connected');
    await vi.advanceTimersByTimeAsync(2);
    expect(sockets).toHaveLength(2);
    expect(sockets[0]?.closedWith).not.toBe('nothing');
  });

  test('waits longer when an error frame says so, with jitter', async () => {
    const { client, connect } = fakeClient();
    const socket = await connect();
    socket.says({ event: 'error', data: { code: 'limit_reached', message: '', retryAfter: 4000 } });
    socket.closes(4429);
    expect(client.state).toMatchObject({ name: 'waiting', retryAt: Date.now() + 4500 });
  });

  test('is not put off by a retryAfter that is over', async () => {
    const { client, connect } = fakeClient();
    const socket = await connect();
    socket.says({ event: 'error', data: { code: 'rate_limited', message: '', retryAfter: 4000 } });
    await vi.advanceTimersByTimeAsync(10_000);
    socket.closes(1006);
    expect(client.state).toMatchObject({ name: 'waiting', retryAt: Date.now() + 500 });
  });

  test('survives a wait longer than timers can be', async () => {
    const { client, connect, sockets } = fakeClient();
    const socket = await connect();
    socket.says({ event: 'error', data: { code: 'limit_reached', message: '', retryAfter: 1e12 } });
    socket.closes(4429);
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(client.state.name).toBe('waiting');
    expect(sockets).toHaveLength(1);
  });

});

describe('disconnect', () => {
  test('closes politely and leaves no timer', async () => {
    const { client, socket, connect, onError } = fakeClient();
    const states = recordStates(client);
    await connect();
    const answers = [client.echo(), client.publish({ warehouse: 'w', event: 'A' }), client.subscribe('w')];
    client.disconnect();
    client.disconnect();
    await Promise.all(answers.map((answer) => expect(answer).rejects.toMatchObject({ code: 'closed' })));
    expect(socket().closedWith).toBe(1000);
    expect(names(states)).toEqual(['connecting', 'connected', 'closed']);
    expect(vi.getTimerCount()).toBe(0);
    expect(onError).not.toHaveBeenCalled();
  });

  test('while connecting rejects connect, silently when nobody awaits it', async () => {
    const { client, onError } = fakeClient();
    const connected = client.connect();
    await settle();
    client.disconnect();
    await expect(connected).rejects.toMatchObject({ code: 'closed' });
    void client.connect();
    client.disconnect();
    await settle();
    expect(onError).not.toHaveBeenCalled();
    expect(vi.getTimerCount()).toBe(0);
  });

  test('while waiting stops the next try', async () => {
    const { client, connect, sockets } = fakeClient();
    (await connect()).closes(1006);
    client.disconnect();
    expect(vi.getTimerCount()).toBe(0);
    expect(sockets).toHaveLength(1);
  });

  test('from within a state listener counts', async () => {
    const { client, sockets, socket } = fakeClient();
    const heard = vi.fn();
    client.on('connected', heard);
    client.onState((state) => state.name === 'connected' && client.disconnect());
    void client.connect();
    await settle();
    socket().saysConnected();
    await settle();
    expect(client.state.name).toBe('closed');
    expect(heard).not.toHaveBeenCalled();
    expect(sockets[0]?.closedWith).toBe(1000);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('is not the end: connect works again', async () => {
    const { client, connect } = fakeClient();
    await connect();
    client.disconnect();
    await connect();
    expect(client.state.name).toBe('connected');
  });
});

test('onState returns what removes the listener, and a listener that throws stops nobody', async () => {
  const { client, connect, onError } = fakeClient();
  const heard: string[] = [];
  client.onState(() => {
    throw new Error('mine');
  });
  const stop = client.onState(({ name }) => heard.push(name));
  await connect();
  stop();
  client.disconnect();
  await settle();
  expect(heard).toEqual(['connecting', 'connected']);
  expect(onError).toHaveBeenCalledTimes(3);
});

describe('recovering', () => {
  test('is what the client does after a connection that was good', async () => {
    const { client, connect, reconnect } = fakeClient();
    const states = recordStates(client);
    await connect();
    await reconnect();
    client.disconnect();
    await connect();
    expect(names(states)).toEqual([
      'connecting',
      'connected',
      'waiting',
      'recovering',
      'connected',
      'closed',
      'connecting',
      'connected',
    ]);
    expect(states[3]).toEqual({ name: 'recovering', attempt: 1 });
  });

  test('first tries the transport that was good four times, then all of them', async () => {
    const asked: string[] = [];
    vi.stubGlobal('fetch', async (address: string) => {
      asked.push(new URL(address).pathname);
      throw new TypeError('fetch failed');
    });
    const { client, connect, socket, sockets } = fakeClient({ transports: [webSocket, longPolling, serverSentEvents] });
    await connect();
    for (const attempt of [1, 2, 3, 4, 5]) {
      expect(sockets).toHaveLength(attempt);
      socket().closes(1006);
      expect(client.state).toMatchObject({ name: 'waiting', attempt });
      await vi.advanceTimersToNextTimerAsync();
    }
    expect(asked).toEqual([]);
    socket().closes(1006);
    await settle();
    expect(asked).toEqual(['/poll', '/sse']);
    expect(client.state).toMatchObject({ name: 'waiting', attempt: 6, error: { code: 'connect_failed' } });
    client.disconnect();
    await settle();
    expect(vi.getTimerCount()).toBe(0);
  });

  test('from a server that is gone for an hour asks now and then, keeps nothing, and comes back', async () => {
    vi.stubGlobal('fetch', async () => {
      throw new TypeError('fetch failed');
    });
    const transports = [webSocket, longPolling, serverSentEvents];
    const { client, connect, socket, sockets, onError } = fakeClient({ transports, maxAttempts: Infinity });
    await connect([]);
    void client.subscribe('w');
    socket().acks('subscribe', { room: 'warehouse:w', offset: 'e-5' });
    let gone = true;
    const dead = setInterval(() => gone && socket().closes(1006), 100);
    await vi.advanceTimersByTimeAsync(3_600_000);
    gone = false;
    clearInterval(dead);
    // 30 s at most, on average 15 s, between two tries.
    expect(sockets.length).toBeGreaterThan(120);
    expect(sockets.length).toBeLessThan(260);
    expect(vi.getTimerCount()).toBeLessThanOrEqual(2);
    while (client.state.name === 'waiting') await vi.advanceTimersToNextTimerAsync();
    expect(socket().address.search).toBe('?cursor=warehouse:w@e-5');
    socket().saysConnected([{ room: 'warehouse:w', offset: 'e-9' }]);
    expect(client.state.name).toBe('connected');
    expect(onError).not.toHaveBeenCalled();
  });
});
