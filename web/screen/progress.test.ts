import { describe, expect, it } from 'vitest';
import { progress } from './progress.js';

const plan = { startsAt: 0, endsAt: 1000, unitsTarget: 10_000 };

describe('progress', () => {
  it.each([
    ['on plan', { now: 500, unitsDone: 5000 }, { time: 0.5, units: 0.5, ahead: 0, level: 'good' }],
    ['a little behind', { now: 500, unitsDone: 4600 }, { time: 0.5, units: 0.46, ahead: -400, level: 'warn' }],
    ['further behind', { now: 500, unitsDone: 4000 }, { time: 0.5, units: 0.4, ahead: -1000, level: 'warn' }],
    ['far behind', { now: 500, unitsDone: 1000 }, { time: 0.5, units: 0.1, ahead: -4000, level: 'bad' }],
    ['ahead', { now: 500, unitsDone: 5100 }, { time: 0.5, units: 0.51, ahead: 100, level: 'good' }],
    ['at the first moment', { now: 0, unitsDone: 0 }, { time: 0, units: 0, ahead: 0, level: 'good' }],
    ['more than all', { now: 2000, unitsDone: 12_000 }, { time: 1, units: 1, ahead: 2000, level: 'good' }],
    ['without a time', { unitsDone: 5000 }, { time: undefined, units: 0.5, ahead: undefined, level: undefined }],
    ['without units', { now: 500 }, { time: 0.5, units: undefined, ahead: undefined, level: undefined }],
  ])('%s', (_, figures, want) => {
    expect(progress(plan, figures)).toEqual(want);
  });

  it('knows nothing of a plan that makes no sense', () => {
    expect(progress({ startsAt: 5, endsAt: 5, unitsTarget: 0 }, { now: 5, unitsDone: 5 })).toEqual({
      time: undefined,
      units: undefined,
      ahead: undefined,
      level: undefined,
    });
  });
});
