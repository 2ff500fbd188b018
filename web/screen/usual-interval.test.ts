import { expect, it } from 'vitest';
import { UsualInterval } from './usual-interval.js';

function after(intervals: number[], unknown = 60_000): number {
  const usual = new UsualInterval();
  let time = 1_000_000;
  usual.note(time);
  for (const interval of intervals) usual.note((time += interval));
  return usual.staleAfter(unknown);
}

it.each([
  ['no news yet', [], 60_000],
  ['too few to be usual', [2000, 2000], 60_000],
  ['each second', [1000, 1000, 1000], 10_000],
  ['each 4 s', [4000, 4000, 4000], 16_000],
  ['with a pause in between', [4000, 4000, 90_000, 4000, 4000], 16_000],
  ['in bursts, each minute', [1, 1, 60_000, 1, 1, 60_000, 1, 1, 60_000], 240_008],
  ['each 5 minutes', [300_000, 300_000, 300_000], 1_200_000],
  ['each day', [86_400_000, 86_400_000, 86_400_000], 1_800_000],
  ['at the same moment', [0, 0, 0, 0], 60_000],
])('a room is silent after a few of its usual intervals: %s', (_, intervals, want) => {
  expect(after(intervals)).toBe(want);
});
