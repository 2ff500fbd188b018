import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type ClientOptions, longPolling, serverSentEvents, webSocket } from '@zonecast/client';
import { eventually, realClient } from './real-client.js';
import { RealServer } from './real-server.js';

const secret = 'a secret of the tests, 32 bytes or more';
const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A JSON Web Token for warehouse w, as an issuer would sign it. */
function sign(claims: object = {}, seconds = 600): string {
  const exp = Math.floor(Date.now() / 1000) + seconds;
  const payload = { sub: 'ann', warehouses: ['w'], publish: true, exp, ...claims };
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(payload)}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}

let server: RealServer;
beforeAll(async () => void (server = await RealServer.start(0, { AUTH_TOKEN_SECRET: secret })));
afterAll(() => server?.stop());

describe.each([webSocket, longPolling, serverSentEvents])('over $name', (transport) => {
  const clientOf = (options: Partial<ClientOptions>) =>
    realClient({ url: server.url, transports: [transport], ...options });

  test('a valid token lets in, and may publish', async () => {
    const { client } = clientOf({ warehouse: 'w', token: sign() });
    const heard = new Promise((resolve) => client.once('TICK', resolve));
    await client.connect();
    await client.publish({ warehouse: 'w', event: 'TICK', data: 1 });
    expect(await heard).toBe(1);
  });

  test.each([
    { what: 'none', token: undefined, code: 'unauthenticated' },
    { what: 'nonsense', token: 'nonsense', code: 'unauthenticated' },
    { what: 'an expired one', token: sign({}, -60), code: 'unauthenticated' },
    { what: 'one of another warehouse', token: sign({ warehouses: ['v'] }), code: 'forbidden' },
  ])('$what is refused at once and for good', async ({ token, code }) => {
    const { client } = clientOf({ warehouse: 'w', maxAttempts: Infinity, ...(token && { token }) });
    await expect(client.connect()).rejects.toMatchObject({ code });
    expect(client.state).toMatchObject({ name: 'failed', error: { code } });
  });

  test('what the token does not permit is refused alone; all else goes on', async () => {
    const { client, onError } = clientOf({ warehouse: 'w', token: sign({ publish: false }) });
    const heard: unknown[] = [];
    client.on('TICK', (data) => heard.push(data));
    await client.connect();
    const outcomes = await Promise.allSettled([
      client.subscribe('v'),
      client.subscribe('w', 'a'),
      client.subscribe('v', 'z'),
      client.subscribe('w', 'b'),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'rejected', 'fulfilled']);
    expect(outcomes[0]).toMatchObject({ reason: { code: 'forbidden' } });
    await expect(client.publish({ warehouse: 'w', event: 'TICK' })).rejects.toMatchObject({ code: 'forbidden' });
    expect(client.state.name).toBe('connected');
    expect(client.rooms).toEqual(['warehouse:w', 'zone:w:a', 'zone:w:b']);
    expect(onError).not.toHaveBeenCalled();
  });

  test('a token for a zone joins the zone alone, and says so once', async () => {
    const { client, onError } = clientOf({ warehouse: 'w', zone: 'a', token: sign({ warehouses: { w: ['a'] } }) });
    const heard: unknown[] = [];
    client.on('TICK', (data) => heard.push(data));
    await client.connect();
    await eventually(() => expect(client.rooms).toEqual(['zone:w:a']));
    for (const n of [1, 2, 3]) {
      await client.publish({ warehouse: 'w', zone: 'a', event: 'TICK', data: n });
      await eventually(() => expect(heard.at(-1)).toBe(n));
    }
    expect(heard).toEqual([1, 2, 3]);
    expect(onError).toHaveBeenCalledTimes(1);
    expect(onError.mock.calls[0]).toMatchObject([{ code: 'forbidden' }]);
  });

  test('a token is renewed before it expires, and nothing is missed', async () => {
    // A renewal has a second, the last fifth of a token's time, however busy the machine is.
    const token = vi.fn(async () => sign({}, 6));
    const { client, onError } = clientOf({ warehouse: 'w', token, maxAttempts: 0 });
    const heard: unknown[] = [];
    client.on('TICK', (data) => heard.push(data));
    await client.connect();
    const states = vi.fn();
    client.onState(states);
    let sent = 0;
    // By the time that the second renewal is due, the first token has expired.
    for (; token.mock.calls.length < 3; sent++) {
      await client.publish({ warehouse: 'w', event: 'TICK', data: sent });
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    await eventually(() => expect(heard).toEqual(Array.from({ length: sent }, (_, n) => n)));
    expect(states).not.toHaveBeenCalled();
    expect(onError).not.toHaveBeenCalled();
  });
});
