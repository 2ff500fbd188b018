import { describe, expect, it } from 'vitest';
import { Format } from './format.js';
import { type Facts, status } from './status.js';
import { words } from './words.js';

const live: Facts = { link: 'connected', wasConnected: true, now: 100_000, updatedAt: 98_000, outdated: false, brokerAway: false, staleAfter: 60_000 };

describe('status', () => {
  it.each<[string, Partial<Facts>, string, string]>([
    ['fresh', {}, 'live', 'updated 2 s ago'],
    ['an update from a server whose clock runs ahead', { updatedAt: 101_000 }, 'live', 'updated 0 s ago'],
    ['just within the limit', { updatedAt: 40_000 }, 'live', 'updated 1 min 0 s ago'],
    ['too old', { updatedAt: 39_999 }, 'stale', ', 1 min 0 s ago'],
    ['a retained message of yesterday', { now: 90_000_000, updatedAt: 1_000_000 }, 'stale', ', 1 d 0 h ago'],
    ['with a hole', { outdated: true }, 'outdated', 'waiting for the next full snapshot'],
    ['with a hole and too old', { outdated: true, updatedAt: 0 }, 'stale', ', 1 min 40 s ago'],
    ['connected, nothing published yet', { updatedAt: undefined }, 'waiting', 'nothing received yet'],
    ['lost', { link: 'connecting' }, 'lost', ', 2 s ago'],
    ['lost before the first update', { link: 'connecting', updatedAt: undefined }, 'lost', 'nothing received yet'],
    ['not connected yet', { link: 'connecting', wasConnected: false, updatedAt: undefined }, 'connecting', 'nothing received yet'],
    ['cut off from the broker', { brokerAway: true }, 'stale', ', 2 s ago'],
    ['refused', { link: 'refused' }, 'refused', 'asks again'],
  ])('%s', (_, given, state, detail) => {
    const got = status({ ...live, ...given }, words.en, new Format('en-GB', 'UTC'));
    expect(got.state).toBe(state);
    expect(got.detail).toContain(detail);
  });
});
