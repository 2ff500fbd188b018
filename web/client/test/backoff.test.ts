import { afterEach, expect, test, vi } from 'vitest';
import { backoff, BACKOFF_CAP } from '../src/backoff.js';

afterEach(() => void vi.restoreAllMocks());

test.each([
  { attempt: 1, want: 1000 },
  { attempt: 2, want: 1250 },
  { attempt: 7, want: 1250 },
  { attempt: 8, want: 4000 },
  { attempt: 10, want: 16_000 },
  { attempt: 11, want: 30_000 },
  { attempt: 10_000, want: 30_000 },
])('the ceiling before attempt $attempt is $want ms', ({ attempt, want }) => {
  vi.spyOn(Math, 'random').mockReturnValue(1);
  expect(backoff(attempt, 1000, BACKOFF_CAP)).toBe(want);
});

test.each([0, 0.25, 0.999])('a draw of %d takes its share of the ceiling, after the cap too', (draw) => {
  vi.spyOn(Math, 'random').mockReturnValue(draw);
  expect(backoff(1, 1000, BACKOFF_CAP)).toBe(1000 * draw);
  expect(backoff(20, 1000, BACKOFF_CAP)).toBe(BACKOFF_CAP * draw);
});
