import { describe, expect, it } from 'vitest';
import { ZonecastError } from '../client/src/index.js';
import { refusal } from './refusal.js';
import { words } from './words.js';

const because = (code: string, cause?: string) =>
  new ZonecastError(code, `closed with code 44xx, ${code}`, { cause: cause && new ZonecastError(code, cause) });

describe('refusal', () => {
  it.each([
    ['no token', because('unauthenticated', 'a token is needed'), false, 'This screen needs a token', ''],
    [
      'a bad token',
      because('unauthenticated', 'the token has expired'),
      true,
      'This token is not valid',
      'The server says: the token has expired.',
    ],
    [
      'a token that runs out later',
      because('unauthenticated'),
      true,
      'This token is not valid',
      'The server says: closed with code 44xx, unauthenticated.',
    ],
    [
      'a token for somewhere else',
      because('forbidden', 'the token does not permit zone:w:z'),
      true,
      'This token is for other warehouses',
      'The server says: the token does not permit zone:w:z.',
    ],
    ['anything else', because('too_big'), false, 'The server refuses this screen', 'The server says: closed with code 44xx, too_big.'],
  ])('%s', (_, error, hasToken, title, reason) => {
    expect(refusal(error, hasToken, words.en)).toEqual({ title, reason });
  });
});
