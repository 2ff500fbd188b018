import { describe, expect, it } from 'vitest';
import { tokenOf } from './token.js';

describe('tokenOf', () => {
  it.each([
    ['behind #', { hash: '#token=a.b.c', search: '' }, 'a.b.c'],
    ['in the query', { hash: '', search: '?token=a.b.c' }, 'a.b.c'],
    ['in both', { hash: '#token=new', search: '?token=old' }, 'new'],
    ['among others', { hash: '#kiosk=7&token=a.b.c', search: '' }, 'a.b.c'],
    ['percent-encoded', { hash: '', search: '?token=a%20b' }, 'a b'],
    ['nowhere', { hash: '#top', search: '?x=1' }, undefined],
    ['empty', { hash: '#token=', search: '?token=%20' }, undefined],
  ])('%s', (_, give, want) => {
    expect(tokenOf(give)).toBe(want);
  });
});
