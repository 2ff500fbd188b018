import { describe, expect, it } from 'vitest';
import { level, progress } from './progress.js';

const plan = { startsAt: 0, endsAt: 1000, unitsTarget: 10_000 };

describe('progress', () => {
  it.each([
    ['on plan', 500, 5000, { time: 0.5, units: 0.5, ahead: 0, level: 'good' }],
    ['ahead', 500, 5100, { time: 0.5, units: 0.51, ahead: 100, level: 'good' }],
    ['behind by so little that the share rounds up', 500, 4990, { time: 0.5, units: 0.499, ahead: -10, level: 'near' }],
    ['a little behind', 500, 4900, { time: 0.5, units: 0.49, ahead: -100, level: 'near' }],
    ['behind', 500, 4600, { time: 0.5, units: 0.46, ahead: -400, level: 'warn' }],
    ['far behind', 500, 1000, { time: 0.5, units: 0.1, ahead: -4000, level: 'bad' }],
    ['at the first moment', 0, 0, { time: 0, units: 0, ahead: 0, level: 'good' }],
  ])('%s', (_, now, unitsDone, want) => {
    expect(progress(plan, { unitsDone }, now)).toEqual({ phase: 'during', ...want });
  });

  it('shows more than all as more than all', () => {
    expect(progress(plan, { unitsDone: 12_100 }, 900)).toMatchObject({ units: 1.21, level: 'good' });
  });

  it('goes on with the clock when no update comes', () => {
    expect(progress(plan, { unitsDone: 5000 }, 500)).toMatchObject({ ahead: 0, level: 'good' });
    expect(progress(plan, { unitsDone: 5000 }, 800)).toMatchObject({ ahead: -3000, level: 'bad' });
  });

  it('knows before the shift from after it', () => {
    expect(progress(plan, { unitsDone: 0 }, -1)).toMatchObject({ phase: 'before', time: 0 });
    expect(progress(plan, { unitsDone: 9500 }, 5000)).toMatchObject({ phase: 'after', units: 0.95, ahead: -500, level: 'warn' });
  });

  it('knows nothing of a plan that makes no sense', () => {
    const nothing = { phase: undefined, time: undefined, units: undefined, ahead: undefined, level: undefined };
    expect(progress({ startsAt: 5, endsAt: 5, unitsTarget: 0 }, { unitsDone: 5 }, 5)).toEqual(nothing);
    expect(progress({}, {}, 5)).toEqual(nothing);
  });
});

it('has a level that agrees with the number that is shown', () => {
  expect([1.2, 0.996, 0.994, 0.97, 0.965, 0.9, 0.795, 0.794].map(level)).toEqual(['good', 'good', 'near', 'near', 'near', 'warn', 'warn', 'bad']);
});
