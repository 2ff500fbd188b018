import { afterEach, describe, expect, it, vi } from 'vitest';

vi.hoisted(() => vi.stubGlobal('document', { documentElement: { dataset: { base: '/push' } } })); // as a page has it

const { Keeper } = await import('./paired.js');

const browser = () => {
  const kept = new Map<string, string>();
  return { kept, getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => void kept.set(key, value) };
};
const place = { warehouse: 'w', zone: 'a' };
const answers = (status: number, body: unknown) => vi.stubGlobal('fetch', async () => new Response(JSON.stringify(body), { status }));

afterEach(() => void vi.useRealTimers());

describe('the token of a paired screen', () => {
  it('is kept over loads, for each server and each name of a browser with several screens', () => {
    const store = browser();
    new Keeper(undefined, store).keep('t', 1000, place);
    expect(new Keeper(undefined, store).kept).toMatchObject({ token: 't', place });
    expect(new Keeper('Dock 3', store).kept).toBeUndefined();
    expect([...store.kept.keys()]).toEqual(['zonecast-screen-token:/push:']);
  });

  it('is none where the browser keeps something else', () => {
    for (const text of ['', 'x', 'null', '[]', '{"token":1}', '{"token":"t","renewAt":1}']) {
      const store = browser();
      store.setItem('zonecast-screen-token:/push:', text);
      expect(new Keeper(undefined, store).kept).toBeUndefined();
    }
  });

  it('is renewed when it is time, or when the clock was put back', () => {
    vi.useFakeTimers({ now: 1e12 });
    const keeper = new Keeper(undefined, browser());
    expect(keeper.isDue).toBe(false); // there is none
    keeper.keep('t', 86_400_000, place);
    for (const [now, due] of [[1e12, false], [1e12 + 86_399_999, false], [1e12 + 86_400_000, true], [1e12 - 1, true], [0, true]] as const) {
      vi.setSystemTime(now);
      expect(keeper.isDue).toBe(due);
    }
  });

  it('is replaced by the renewed one, and stays where the server refuses or fails', async () => {
    const keeper = new Keeper(undefined, browser());
    await expect(keeper.renew()).rejects.toMatchObject({ code: 'unauthenticated' });
    keeper.keep('old', 0, place);
    answers(401, { detail: 'the token was revoked' });
    await expect(keeper.renew()).rejects.toMatchObject({ code: 'unauthenticated', message: 'the token was revoked' });
    answers(503, {});
    await expect(keeper.renew()).rejects.toMatchObject({ code: 'connect_failed' });
    expect(keeper.kept?.token).toBe('old');
    answers(200, { token: 'new', renewAfter: 1000 });
    expect(await keeper.renew()).toMatchObject({ token: 'new', place });
    expect(keeper.kept?.token).toBe('new');
  });
});
