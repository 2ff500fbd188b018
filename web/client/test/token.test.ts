import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { CloseCode, ZonecastError } from '@zonecast/client';
import { fakeClient, fakeTime, recordStates, settle } from './fake-socket.js';

fakeTime({ beforeEach, afterEach });

describe('token', () => {
  test('of a function is asked for again when it is refused, three times in a row', async () => {
    let count = 0;
    const { client, socket, connect } = fakeClient({ token: async () => `t-${++count}` });
    (await connect()).closes(CloseCode.unauthenticated, 'expired');
    await vi.advanceTimersByTimeAsync(500);
    socket().saysConnected(); // a fresh one was accepted: the count begins again
    for (let refused = 1; refused <= 3; refused++) {
      expect(client.state.name).not.toBe('failed');
      socket().closes(CloseCode.unauthenticated, 'revoked');
      await vi.advanceTimersByTimeAsync(1000);
    }
    expect(client.state).toMatchObject({ name: 'failed', error: { code: 'unauthenticated' } });
    expect(count).toBe(4);
  });

  test('function that fails is asked again, until it says that there will be none', async () => {
    const answers = [Error('the issuer is down'), Error('still down'), new ZonecastError('unauthenticated', 'signed out')];
    const { client, sockets, onError } = fakeClient({ token: () => Promise.reject(answers.shift()) });
    const connected = client.connect();
    await settle();
    expect(client.state).toMatchObject({
      name: 'waiting',
      error: { code: 'connect_failed', message: expect.stringMatching(/the token function failed: the issuer is down$/) },
    });
    const outcome = expect(connected).rejects.toMatchObject({ code: 'unauthenticated', message: expect.stringMatching(/signed out$/) });
    await vi.advanceTimersByTimeAsync(2000);
    await outcome;
    expect(client.state.name).toBe('failed');
    expect(sockets).toHaveLength(0);
    expect(onError).not.toHaveBeenCalled();
  });

  test('function that is slow has a time of its own', async () => {
    const { client, socket } = fakeClient({
      connectTimeout: 1000,
      token: () => new Promise((resolve) => setTimeout(resolve, 900, 't')),
    });
    void client.connect();
    await vi.advanceTimersByTimeAsync(1800);
    socket().saysConnected();
    expect(client.state.name).toBe('connected');

    const never = fakeClient({ connectTimeout: 1000, token: () => new Promise(() => {}) });
    void never.client.connect();
    await vi.advanceTimersByTimeAsync(1000);
    expect(never.client.state).toMatchObject({
      name: 'waiting',
      error: { message: expect.stringMatching(/no token from the token function within 1000 ms/) },
    });
  });

  test('is asked for anew before each try and stays out of addresses and messages', async () => {
    let count = 0;
    const { client, socket } = fakeClient({ token: async () => `t-${++count}`, warehouse: 'w' });
    const states = recordStates(client);
    void client.connect();
    await settle();
    expect(socket().address.search).toBe('?warehouse=w');
    expect(socket().protocols).toEqual(['zonecast', 't-1']);
    socket().closes(1006);
    await vi.advanceTimersByTimeAsync(500);
    expect(socket().protocols).toEqual(['zonecast', 't-2']);
    expect(JSON.stringify(states, (_, value: unknown) => (value instanceof Error ? value.message : value))).not.toMatch(/t-\d/);
  });

  test('goes into the address when it can be no subprotocol', async () => {
    const { client, socket } = fakeClient({ token: 'käse = token', warehouse: 'w' });
    void client.connect();
    await settle();
    expect(socket().address.searchParams.get('token')).toBe('käse = token');
    expect(socket().protocols).toBeUndefined();
  });

  test.each([
    { give: () => Promise.reject(new Error('login is down')), want: /login is down/ },
    {
      give: () => {
        throw new Error('no login');
      },
      want: /no login/,
    },
    { give: () => undefined as never, want: /token function failed: it returned none$/ },
  ])('that can not be had is a failed try: $want', async ({ give, want }) => {
    const { client, sockets } = fakeClient({ token: give });
    void client.connect();
    await settle();
    expect(client.state).toMatchObject({ name: 'waiting', error: { message: expect.stringMatching(want) } });
    expect(sockets).toHaveLength(0);
  });

  test('that never comes is a failed try', async () => {
    const { client } = fakeClient({ token: () => new Promise(() => {}) });
    void client.connect();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(client.state).toMatchObject({ name: 'waiting', error: { code: 'connect_failed' } });
  });

  test('that comes after disconnect dials nothing', async () => {
    let give: (token: string) => void = () => {};
    const { client, sockets } = fakeClient({ token: () => new Promise((resolve) => (give = resolve)) });
    void client.connect();
    client.disconnect();
    give('late');
    await settle();
    expect(sockets).toHaveLength(0);
  });
});
