import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { longPolling, webSocket } from '@zonecast/client';
import { fakeClient, fakeTime, settle } from './fake-socket.js';
import { memory } from './memory.js';

fakeTime({ beforeEach, afterEach });
afterEach(() => void vi.unstubAllGlobals());

type Answer = (url: URL, init: RequestInit) => Response | Promise<Response>;

const never = () => new Promise<Response>(() => {});
const json = (body: object, init: ResponseInit = {}) => new Response(JSON.stringify(body), init);
const polled = (rooms = '') => json({ cursor: rooms, messages: [], serverTime: Date.now(), node: 'n' });
const acked = ({ body }: RequestInit) =>
  json({ event: 'ack', id: JSON.parse(body as string).id, data: { room: 'r', offset: 'e-1' } });

/** What answers GET and POST, until the test changes it; the first poll is answered. */
function fakePolls(options: object = {}) {
  const asked: string[] = [];
  const server = { get: never as Answer, post: never as Answer };
  vi.stubGlobal('fetch', (text: string, init: RequestInit) => {
    const url = new URL(text);
    const isGet = (init.method ?? 'GET') === 'GET';
    if (isGet) asked.push(url.search);
    const answer = isGet && asked.length === 1 ? polled() : server[isGet ? 'get' : 'post'](url, init);
    return new Promise((resolve, reject) => {
      if (isGet) init.signal?.addEventListener('abort', () => reject(Error('aborted')));
      Promise.resolve(answer).then(resolve, reject);
    });
  });
  const { client, onError, sockets, socket } = fakeClient({ transports: [longPolling], ...options });
  const connect = async () => {
    void client.connect().catch(() => {});
    await vi.advanceTimersByTimeAsync(100);
    expect(client.state.name).toBe('connected');
  };
  return { client, onError, asked, server, connect, sockets, socket };
}

const message = { warehouse: 'w', event: 'ALERT' };

describe('over long polling', () => {
  test('a POST that fails does not let the next one overtake it', async () => {
    const { client, connect, server } = fakePolls();
    await connect();
    const arrived: unknown[] = [];
    let failures = 1;
    server.post = async (_, init) => {
      if (failures-- > 0) throw Error('reset');
      arrived.push(JSON.parse(init.body as string).data.data);
      return acked(init);
    };
    const published = Promise.all(['raised', 'cleared'].map((data) => client.publish({ ...message, data })));
    await vi.advanceTimersByTimeAsync(2000);
    await published;
    expect(arrived).toEqual(['raised', 'cleared']);
  });

  test('a dead stream is noticed while publications are answered', async () => {
    const { client, connect, server } = fakePolls();
    await connect();
    server.post = (_, init) => acked(init);
    for (let i = 0; i < 36; i++) {
      client.publish(message).catch(() => {});
      await vi.advanceTimersByTimeAsync(1000);
    }
    expect(client.state).not.toMatchObject({ name: 'connected' });
  });

  test.each([true, false])('a sign of life is asked for where the stream is; it comes: %s', async (comes) => {
    const { client, connect, server, asked } = fakePolls();
    await connect();
    server.post = (_, init) => acked(init);
    server.get = (url) => (comes && url.search.includes('wait=0') ? polled() : never());
    void client.connect();
    await vi.advanceTimersByTimeAsync(100);
    expect(asked.some((query, i) => i > 0 && query.includes('wait=0'))).toBe(true);
    await client.publish(message);
    await vi.advanceTimersByTimeAsync(4000);
    expect(client.state.name === 'connected').toBe(comes);
  });

  test.each([
    { status: 401, code: 'unauthenticated', headers: {} },
    { status: 429, code: 'limit_reached', headers: { 'Retry-After': '1' } },
  ])('a refusal with $status that passes loses no room', async ({ status, code, headers }) => {
    const token = vi.fn(async () => 't');
    const { client, connect, server } = fakePolls({ token });
    await connect();
    server.get = () => json({ code, detail: 'not now' }, { status, headers });
    void client.subscribe('w', 'a').catch(() => {});
    await vi.advanceTimersByTimeAsync(200);
    expect(client.rooms).toEqual(['zone:w:a']);
    const calls = token.mock.calls.length;
    server.get = () => polled('zone:w:a@e-1');
    await vi.advanceTimersByTimeAsync(3000);
    expect(client.state.name).toBe('connected');
    expect(client.rooms).toEqual(['zone:w:a']);
    expect(token.mock.calls.length).toBeGreaterThan(calls);
  });

  test('a 413 of a proxy refuses at once', async () => {
    const { client, connect, server } = fakePolls();
    await connect();
    server.post = () => new Response('<h1>too large</h1>', { status: 413 });
    await expect(client.publish(message)).rejects.toMatchObject({ code: 'too_large' });
  });

  test('a timeout says what it met last', async () => {
    const { client, connect, server } = fakePolls();
    await connect();
    server.post = () => new Response('<h1>bad gateway</h1>', { status: 502 });
    const outcome = expect(client.publish(message, { timeout: 3000 })).rejects.toMatchObject({
      code: 'timeout',
      cause: { code: 'connection_lost', message: expect.stringMatching(/502/) },
    });
    await vi.advanceTimersByTimeAsync(4000);
    await outcome;
  });

  test('the client comes back when its own probe replaced it', async () => {
    const storage = memory();
    const { client, connect, server, sockets } = fakePolls({ transports: [webSocket, longPolling], probeInterval: 1000, storage });
    storage.setItem('zonecast http://localhost:3001/ transport', '1');
    server.get = never;
    await connect();
    let end!: (response: Response) => void;
    server.get = () => new Promise((resolve) => (end = resolve));
    void client.subscribe('w', 'a').catch(() => {});
    await vi.advanceTimersByTimeAsync(1100);
    expect(sockets).toHaveLength(1); // the probe, which is not answered yet
    await client.unsubscribe('w', 'a');
    await vi.advanceTimersByTimeAsync(100);
    end(json({ code: 'replaced', detail: 'by a newer one' }, { status: 409 }));
    await settle();
    expect(client.state).toMatchObject({ name: 'waiting', error: { code: 'replaced' } });
  });
});
