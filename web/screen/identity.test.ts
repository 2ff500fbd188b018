import { describe, expect, it } from 'vitest';
import { addressOf, identity } from './identity.js';

const store = () => {
  const kept = new Map<string, string>();
  return { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => void kept.set(key, value) };
};

describe('identity', () => {
  it('a screen is the same one after each load, and keeps its name', () => {
    const browser = store();
    const first = identity('Dock 3', browser);
    expect(first.id).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    expect(identity(undefined, browser)).toEqual(first);
    expect(identity('Dock 3', browser)).toEqual(first);
  });

  it('screens of other names are others, and so are those of other browsers', () => {
    const browser = store();
    const ids = [identity('a', browser), identity('b', browser), identity('a', store()), identity(undefined, store())].map(({ id }) => id);
    expect(new Set(ids).size).toBe(4);
  });
});

describe('addressOf', () => {
  it('a screen that shows something else keeps what its address sets, and its token', () => {
    const here = { search: '?lang=de&wall=dock', hash: '#token=t' };
    for (const [give, want] of [
      [{ warehouse: 'w', zone: 'b' }, '/screen/w/b?lang=de#token=t'],
      [{ warehouse: 'w' }, '/screen/w?lang=de#token=t'],
      [{ warehouse: 'w', wall: 'a b' }, '/screen/w?lang=de&wall=a+b#token=t'],
      [{ warehouse: '//evil.example', zone: '..' }, '/screen/%2F%2Fevil.example/..?lang=de#token=t'],
    ] as const) {
      expect(addressOf(give, here)).toBe(want);
    }
  });
});
