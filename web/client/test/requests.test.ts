import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { fakeClient, FakeSocket, fakeTime, settle } from './fake-socket.js';

fakeTime({ beforeEach, afterEach });

const message = { warehouse: 'w', zone: 'z', event: 'ALERT', data: { title: 'Conveyor 3 stopped' } };

describe('publish', () => {
  test('resolves with the place that the event got', async () => {
    const { client, connect } = fakeClient();
    const socket = await connect();
    const published = client.publish(message);
    expect(socket.last('publish').data).toEqual({ ...message, idempotencyKey: expect.stringMatching(/^\d+-[\d.]+-1$/) });
    socket.acks('publish', { room: 'zone:w:z', offset: 'e-18' });
    await expect(published).resolves.toEqual({ room: 'zone:w:z', offset: 'e-18' });
    expect(vi.getTimerCount()).toBe(2); // of the connection itself: its tick and the limit for `connected`
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
    { give: undefined as never, want: { code: 'invalid_room', message: expect.stringMatching(/^warehouse is undefined/) } },
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

const burst = (client: ReturnType<typeof fakeClient>['client'], count: number) =>
  Promise.all(Array.from({ length: count }, (_, data) => client.publish({ ...message, data })));
const sentData = (sent: { event: string; data?: Record<string, unknown> }[]) =>
  sent.filter(({ event }) => event === 'publish').map(({ data }) => data?.['data']);

describe('a burst of publications', () => {
  test('keeps the pace that the server names, in order', async () => {
    const { client, socket } = fakeClient();
    void client.connect();
    await settle();
    socket().says({
      event: 'connected',
      data: { rooms: [], heartbeat: 30_000, limits: { frameBytes: 65_536, frames: { tokens: 20, refill: 10 } } },
    });
    await settle();
    burst(client, 50).catch(() => {});
    await settle();
    expect(socket().sent).toHaveLength(20);
    await vi.advanceTimersByTimeAsync(1000);
    expect(socket().sent).toHaveLength(28); // four fifths of the refill
    await vi.advanceTimersByTimeAsync(3000);
    expect(sentData(socket().sent)).toEqual(Array.from({ length: 50 }, (_, i) => i));
  });

  test('that is refused for the moment goes on in order, one by one', async () => {
    const { client, connect } = fakeClient();
    const socket = await connect();
    const accepted: unknown[] = [];
    const published = burst(client, 10);
    let taken = 4; // what the server takes at once
    const answer = () => {
      for (const { id, data } of socket.sent.splice(0)) {
        if (taken-- > 0) {
          accepted.push(data?.['data']);
          socket.says({ event: 'ack', id, data: { room: 'r', offset: `e-${accepted.length}` } });
        } else socket.says({ event: 'error', id, data: { code: 'rate_limited', message: 'slower', retryAfter: 100 } });
      }
    };
    answer();
    void client.publish({ ...message, data: 'later' });
    expect(socket.sent).toEqual([]); // what comes later waits for its turn
    for (let i = 0; i < 30; i++) {
      await vi.advanceTimersByTimeAsync(600);
      taken = 1;
      answer();
    }
    await published;
    expect(accepted).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 'later']);
    expect(client.pending).toBe(0);
  });

  test('while there is no connection is bounded, counted, and sent in order on the next', async () => {
    const { client, connect, socket } = fakeClient({ maxPending: 30 });
    (await connect()).closes(1006);
    burst(client, 30).catch(() => {});
    await expect(client.publish(message)).rejects.toMatchObject({ code: 'overflow', message: expect.stringMatching(/^30 requests/) });
    expect(client.pending).toBe(30);
    await vi.advanceTimersByTimeAsync(500);
    socket().saysConnected();
    await settle();
    expect(sentData(socket().sent)).toEqual(Array.from({ length: 30 }, (_, i) => i));
    client.disconnect();
    expect(client.pending).toBe(0);
  });
});

describe('what waits for the pace', () => {
  const acked = async (socket: FakeSocket, ms: number) => {
    for (let i = 0; i < ms; i += 100) {
      for (const { id, event } of socket.sent.slice(answered)) {
        answered++;
        if (event === 'publish') socket.says({ event: 'ack', id, data: { room: 'r', offset: 'e-1' } });
      }
      await vi.advanceTimersByTimeAsync(100);
    }
  };
  let answered = 0;
  beforeEach(() => void (answered = 0));

  test('does not time out as long as the server takes what is before it', async () => {
    const { client, connect } = fakeClient({ requestTimeout: 10_000 });
    const socket = await connect();
    const published = burst(client, 300);
    void published.catch(() => {});
    await acked(socket, 26_000);
    await expect(published).resolves.toHaveLength(300);
    expect(sentData(socket.sent)).toEqual(Array.from({ length: 300 }, (_, i) => i));
  });

  test('is not sent when it is aborted or timed out before', async () => {
    const { client, connect } = fakeClient();
    const socket = await connect();
    burst(client, 100).catch(() => {});
    const abort = new AbortController();
    const aborted = client.publish({ ...message, data: 'aborted' }, { signal: abort.signal });
    const late = expect(client.publish({ ...message, data: 'late' }, { timeout: 50 })).rejects.toMatchObject({ code: 'timeout' });
    abort.abort();
    await expect(aborted).rejects.toMatchObject({ code: 'aborted' });
    await vi.advanceTimersByTimeAsync(2000);
    await late;
    expect(sentData(socket.sent)).toHaveLength(100);
  });

  test('is overtaken by a subscribe', async () => {
    const { client, connect } = fakeClient();
    const socket = await connect();
    burst(client, 300).catch(() => {});
    void client.subscribe('w', 'a').catch(() => {});
    await vi.advanceTimersByTimeAsync(125);
    expect(socket.sent.at(-1)).toMatchObject({ event: 'subscribe' });
    client.disconnect();
  });
});

describe('a publication that is too large', () => {
  test('is refused by the client when the server has named its limit', async () => {
    const { client, socket } = fakeClient();
    void client.connect();
    await settle();
    socket().says({ event: 'connected', data: { rooms: [], limits: { frameBytes: 1000, frames: { tokens: 0, refill: 0 } } } });
    await settle();
    const large = client.publish({ ...message, data: 'é'.repeat(450) }); // two bytes each
    await expect(large).rejects.toMatchObject({ code: 'too_large', message: expect.stringMatching(/has \d+ bytes, the server takes 1000/) });
    expect(socket().sent).toEqual([]);
    void client.publish({ ...message, data: 'x'.repeat(450) });
    expect(socket().sent).toHaveLength(1);
  });

  test('ends with the connection that it closed, and the client comes back without it', async () => {
    const { client, connect, socket } = fakeClient();
    (await connect()) as unknown;
    const large = client.publish(message);
    socket().closes(1009, 'too big');
    await expect(large).rejects.toMatchObject({ code: 'too_large', closeCode: 1009 });
    await vi.advanceTimersByTimeAsync(500);
    socket().saysConnected();
    expect(client.state.name).toBe('connected');
    expect(socket().sent).toEqual([]);
  });

  test('takes none with it that the server was not sent yet: they follow, in order', async () => {
    const { client, connect, socket } = fakeClient();
    await connect(); // takes 100 frames at once
    const published = Array.from({ length: 110 }, (_, data) => client.publish({ ...message, data }));
    const sent = Promise.allSettled(published.slice(0, 100));
    socket().closes(1009, 'too big');
    expect((await sent).every((it) => it.status === 'rejected' && it.reason.code === 'too_large')).toBe(true);
    await vi.advanceTimersByTimeAsync(500);
    socket().saysConnected();
    expect(sentData(socket().sent)).toEqual([100, 101, 102, 103, 104, 105, 106, 107, 108, 109]);
    client.disconnect();
    await Promise.allSettled(published);
  });
});

test.each([
  { what: 'a function', data: () => 1 },
  { what: 'a symbol', data: { at: Symbol('s') } },
  { what: 'NaN', data: { weight: Number.NaN } },
  { what: 'Infinity', data: [1, Infinity] },
  { what: 'a Map', data: { stock: new Map([['a', 1]]) } },
  { what: 'a Set', data: new Set([1]) },
  { what: 'a typed array', data: new Uint8Array([1, 2]) },
  { what: 'a promise', data: { later: Promise.resolve(1) } },
  { what: 'an error', data: Error('lost') },
  { what: 'an invalid date', data: { at: new Date(Number.NaN) } },
  { what: 'undefined in a list', data: [1, undefined] },
  { what: 'a sparse list', data: Array(2) },
])('$what is refused: JSON would lose it without a word', async ({ data }) => {
  const { client, connect } = fakeClient();
  const socket = await connect();
  await expect(client.publish({ ...message, data })).rejects.toMatchObject({ code: 'invalid_data' });
  expect(socket.sent).toEqual([]);
});

test('what JSON writes as it is meant is published', async () => {
  const { client, connect } = fakeClient();
  const socket = await connect();
  class Parcel {
    weight = 2;
  }
  const data = { at: new Date(0), list: [], none: null, empty: {}, bare: Object.create(null), parcel: new Parcel(), left: undefined };
  void client.publish({ ...message, data });
  expect(socket.last('publish').data?.['data']).toEqual({
    at: '1970-01-01T00:00:00.000Z', list: [], none: null, empty: {}, bare: {}, parcel: { weight: 2 },
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
