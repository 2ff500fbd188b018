import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { longPolling, webSocket } from '@zonecast/client';
import { fakeClient, fakeTime, settle } from './fake-socket.js';

fakeTime({ beforeEach, afterEach });
afterEach(() => void vi.unstubAllGlobals());

/** A window whose network and sleep the test decides. */
function fakeWindow({ onLine = true } = {}) {
  const target = new EventTarget();
  const navigator = { onLine };
  const document = { hidden: false };
  vi.stubGlobal('addEventListener', target.addEventListener.bind(target));
  vi.stubGlobal('removeEventListener', target.removeEventListener.bind(target));
  vi.stubGlobal('navigator', navigator);
  vi.stubGlobal('document', document);
  return {
    set onLine(value: boolean) {
      navigator.onLine = value;
    },
    set hidden(value: boolean) {
      document.hidden = value;
    },
    tell: (event: string) => target.dispatchEvent(new Event(event)),
  };
}

describe('a connection that may be dead', () => {
  const signs = ['online', 'pageshow', 'visibilitychange', 'connect()', 'sleep'];

  /** A connected client that has just had a reason to doubt. */
  const doubting = async (sign: string) => {
    const network = fakeWindow();
    const all = fakeClient();
    await all.connect();
    if (sign === 'connect()') void all.client.connect();
    else if (sign !== 'sleep') network.tell(sign);
    else {
      vi.setSystemTime(Date.now() + 60_000);
      await vi.advanceTimersByTimeAsync(1000);
    }
    return { ...all, network };
  };

  test.each(signs)('is asked for a sign of life after %s, and is over without one', async (sign) => {
    const { client, socket } = await doubting(sign);
    socket().last('echo');
    expect(client.state.name).toBe('connected');
    await vi.advanceTimersByTimeAsync(3000);
    expect(client.state).toMatchObject({ name: 'waiting', error: { message: expect.stringMatching(/: silent$/) } });
  });

  test.each(signs)('stays after %s when there is one', async (sign) => {
    const { client, socket, sockets } = await doubting(sign);
    if (sign === 'sleep') socket().refuses('echo', 'rate_limited');
    else socket().acks('echo');
    await vi.advanceTimersByTimeAsync(9000);
    expect(client.state.name).toBe('connected');
    expect(sockets).toHaveLength(1);
  });

  test.each(signs)('stays after %s when any frame comes', async (sign) => {
    const { client, socket } = await doubting(sign);
    socket().says({ event: 'heartbeat', data: {} });
    await vi.advanceTimersByTimeAsync(9000);
    expect(client.state.name).toBe('connected');
  });

  test('is asked before the publications that wait, and not killed behind them', async () => {
    const { client, socket, connect } = fakeClient();
    await connect();
    for (let i = 0; i < 170; i++) client.publish({ warehouse: 'w', event: 'A' }).catch(() => {});
    void client.connect();
    await vi.advanceTimersByTimeAsync(200);
    socket().acks('echo');
    await vi.advanceTimersByTimeAsync(5000);
    expect(client.state.name).toBe('connected');
    client.disconnect();
  });

  test('is asked when the network is back, by a hidden page too', async () => {
    const network = fakeWindow();
    const { socket, connect } = fakeClient();
    await connect();
    network.hidden = true;
    network.tell('online');
    socket().last('echo');
  });

  test('is asked once at a time, and not by a page that is hidden', async () => {
    const { socket, network } = await doubting('online');
    network.tell('online');
    expect(socket().sent).toHaveLength(1);
    socket().acks('echo');
    network.hidden = true;
    network.tell('visibilitychange');
    expect(socket().sent).toHaveLength(1);
  });

  test('is over at once when the browser goes offline, and made again when it is back', async () => {
    const { client, network, socket, sockets } = await doubting('online');
    network.onLine = false;
    network.tell('offline');
    expect(client.state).toMatchObject({ name: 'waiting', error: { message: expect.stringMatching(/: offline$/) } });
    network.onLine = true;
    network.tell('online');
    await settle();
    expect(sockets).toHaveLength(2);
    socket().saysConnected();
    expect(client.state.name).toBe('connected');
  });
});

describe('short lives', () => {
  test('in a row bring the next transport', async () => {
    const dialled: string[] = [];
    vi.stubGlobal('fetch', (url: string) => (dialled.push(new URL(url).pathname), new Promise(() => {})));
    const { socket, connect } = fakeClient({ transports: [webSocket, longPolling] });
    await connect();
    for (let i = 0; i < 2; i++) {
      socket().closes(1006);
      await vi.advanceTimersByTimeAsync(1000);
      socket().saysConnected();
    }
    expect(dialled).toEqual([]);
    socket().closes(1006);
    await vi.advanceTimersByTimeAsync(1000);
    expect(dialled).toEqual(['/poll']);
  });

  test('that the server ends, and long ones, bring none', async () => {
    vi.stubGlobal('fetch', () => expect.unreachable());
    const { socket, connect, sockets } = fakeClient({ transports: [webSocket, longPolling] });
    await connect();
    for (let i = 0; i < 12; i++) {
      if (i % 3 === 2) await vi.advanceTimersByTimeAsync(6000);
      socket().closes(i % 3 === 1 ? 1012 : 1006);
      await vi.advanceTimersByTimeAsync(1000);
      socket().saysConnected();
    }
    expect(sockets).toHaveLength(13);
  });
});

test('a socket that fails and never says that it closed is over', async () => {
  const { client, socket } = fakeClient();
  void client.connect();
  await settle();
  socket().onerror?.({ message: 'ECONNREFUSED' });
  await vi.advanceTimersByTimeAsync(100);
  expect(client.state).toMatchObject({ name: 'waiting', error: { message: 'localhost:3001 by websocket: failed: ECONNREFUSED' } });
});

describe('the network', () => {
  test('does not count the tries of a browser that is offline, and a client that gave up comes back online', async () => {
    const { client, sockets, socket } = fakeClient({ maxAttempts: 1, backoffCap: 1000 });
    const network = fakeWindow({ onLine: false });
    void client.connect().catch(() => {});
    await settle();
    for (let i = 0; i < 20; i++) {
      socket().closes(1006);
      expect(client.state.name).toBe('waiting');
      await vi.advanceTimersByTimeAsync(1000);
    }
    network.onLine = true;
    for (let i = 0; i < 2; i++) {
      socket().closes(1006);
      await vi.advanceTimersByTimeAsync(1000);
    }
    expect(client.state).toMatchObject({ name: 'failed', error: { code: 'gave_up' } });
    const dialled = sockets.length;
    network.tell('online');
    await settle();
    expect(sockets).toHaveLength(dialled + 1);
    socket().saysConnected();
    expect(client.state.name).toBe('connected');
    client.disconnect();
    network.tell('online');
    await settle();
    expect(sockets).toHaveLength(dialled + 1);
  });

  test('happens at once when the network is back, and when connect is called', async () => {
    const network = new EventTarget();
    vi.stubGlobal('addEventListener', network.addEventListener.bind(network));
    vi.stubGlobal('removeEventListener', network.removeEventListener.bind(network));
    const { client, socket, sockets } = fakeClient();
    void client.connect();
    await settle();
    socket().closes(1006);
    network.dispatchEvent(new Event('online'));
    await settle();
    expect(sockets).toHaveLength(2);
    network.dispatchEvent(new Event('online'));
    await settle();
    expect(sockets).toHaveLength(2);
    socket().closes(1006);
    void client.connect();
    await settle();
    expect(sockets).toHaveLength(3);
    const remove = vi.spyOn(globalThis, 'removeEventListener');
    client.disconnect();
    expect(remove).toHaveBeenCalledWith('online', expect.any(Function));
    network.dispatchEvent(new Event('online'));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(sockets).toHaveLength(3);
  });
});

describe('watchdog', () => {
  test('takes two heartbeats of silence for the end', async () => {
    const { client, socket, sockets } = fakeClient();
    void client.connect();
    await settle();
    socket().saysConnected([], 5000);
    await vi.advanceTimersByTimeAsync(9999);
    expect(client.state.name).toBe('connected');
    await vi.advanceTimersByTimeAsync(1);
    expect(client.state).toMatchObject({
      name: 'waiting',
      error: { code: 'connection_lost', message: 'localhost:3001 by websocket: silent' },
    });
    expect(sockets[0]?.closedWith).not.toBe('nothing');
  });

  test('counts any frame as a sign of life, even one that makes no sense', async () => {
    const { client, socket, onError } = fakeClient();
    void client.connect();
    await settle();
    socket().saysConnected([], 5000);
    for (const frame of [{ event: 'heartbeat', data: {} }, { event: 'ack', id: 99, data: null }, 'nonsense', { event: 'NEW' }]) {
      await vi.advanceTimersByTimeAsync(9000);
      socket().says(frame);
    }
    await vi.advanceTimersByTimeAsync(9999);
    expect(client.state.name).toBe('connected');
    expect(onError).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ code: 'bad_frame' }));
    await vi.advanceTimersByTimeAsync(1);
    expect(client.state.name).toBe('waiting');
  });

  test('hangs up hard where the socket can', async () => {
    const { client, socket } = fakeClient();
    void client.connect();
    await settle();
    const terminate = vi.fn();
    Object.assign(socket(), { terminate });
    socket().saysConnected([], 5000);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(terminate).toHaveBeenCalledOnce();
  });
});

test('serverNow() follows `connected` and each heartbeat that tells the time', async () => {
  const { client, connect } = fakeClient();
  vi.setSystemTime(1000);
  expect(client.serverNow()).toBe(1000);
  const socket = await connect(); // its server says 1_767_225_600_000
  expect(client.serverNow()).toBe(1_767_225_600_000);
  await vi.advanceTimersByTimeAsync(500);
  expect(client.serverNow()).toBe(1_767_225_600_500);
  socket.says({ event: 'heartbeat', data: { connections: 1, time: 5_000_000 } });
  expect(client.serverNow()).toBe(5_000_000);
  for (const data of [undefined, null, {}, { time: 'noon' }]) socket.says({ event: 'heartbeat', data });
  expect(client.serverNow()).toBe(5_000_000);
  client.disconnect();
  await vi.advanceTimersByTimeAsync(500);
  expect(client.serverNow()).toBe(5_000_500);
});
