import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { fakeClient, fakeTime, settle } from './fake-socket.js';
import { memory } from './memory.js';

fakeTime({ beforeEach, afterEach });

const HOUR = 3_600_000;

/** A JSON Web Token that expires after so many seconds by the server's clock. */
const tokenFor = (seconds: number) => `x.${btoa(JSON.stringify({ exp: 1_767_225_600 + seconds }))}.x`;

describe('what applications do by mistake', () => {
  test('two clients of one page with one storage keep their rooms, offsets and connections apart', async () => {
    const storage = memory();
    const [one, two] = [fakeClient({ storage }), fakeClient({ storage })];
    const heard: unknown[] = [];
    one.client.on('TICK', (data) => heard.push(['one', data]));
    two.client.on('TICK', (data) => heard.push(['two', data]));
    for (const { client, connect } of [one, two]) {
      void client.subscribe('w', 'a');
      (await connect()).acks('subscribe', { room: 'zone:w:a', offset: 'e-1' });
    }
    one.socket().publishes('zone:w:a', 'e-2', 'TICK', 2);
    two.socket().publishes('zone:w:a', 'e-2', 'TICK', 2);
    one.client.disconnect();
    two.socket().publishes('zone:w:a', 'e-3', 'TICK', 3);
    expect(heard).toEqual([['one', 2], ['two', 2], ['two', 3]]);
    expect(two.client.state.name).toBe('connected');
  });

  test('connect() in a listener of the end comes back, and disconnect() in that of the beginning ends', async () => {
    const { client, connect, sockets, socket } = fakeClient();
    const stop = client.onState(({ name }) => name === 'closed' && void client.connect());
    await connect();
    client.disconnect();
    await settle();
    expect(sockets).toHaveLength(2);
    stop();
    client.onState(({ name }) => name === 'connected' && client.disconnect());
    socket().saysConnected();
    await vi.advanceTimersByTimeAsync(HOUR);
    expect(client.state.name).toBe('closed');
    expect(sockets).toHaveLength(2);
  });

  test.each([HOUR, -HOUR])('a clock that is off by %d ms renews tokens in time, and takes no connection for dead', async (off) => {
    vi.setSystemTime(Date.now() + off);
    const token = vi.fn(async () => tokenFor(100));
    const { client, connect, sockets } = fakeClient({ token });
    const socket = await connect();
    for (let second = 0; second < 79; second++) {
      await vi.advanceTimersByTimeAsync(1000);
      socket.says({ event: 'heartbeat', data: {} });
    }
    expect(token).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(2000);
    expect(token).toHaveBeenCalledTimes(2);
    expect(socket.last('authenticate').data).toEqual({ token: tokenFor(100) });
    expect(client.state.name).toBe('connected');
    expect(sockets).toHaveLength(1);
  });
});
