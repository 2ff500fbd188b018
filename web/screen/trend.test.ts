import { describe, expect, it } from 'vitest';
import { STEP, Trend, WINDOW } from './trend.js';

describe('Trend', () => {
  it('draws nothing before two points', () => {
    const trend = new Trend();
    expect(trend.draw(1450)).toBeUndefined();
    trend.add(0, 1400);
    expect(trend.draw(1450)).toBeUndefined();
  });

  it('draws a line over the whole width, and where the target is', () => {
    const trend = new Trend();
    trend.add(0, 100);
    trend.add(STEP, 50);
    trend.add(2 * STEP, 100);
    const drawing = trend.draw(100);
    expect(drawing?.line).toBe('M0 4L300 79.2L600 4');
    expect(drawing?.area).toBe('M0 4L300 79.2L600 4V100H0Z');
    expect(drawing?.target).toBe(4);
    expect(trend.draw(undefined)?.target).toBeUndefined();
  });

  it('never has the target or a value outside of the drawing', () => {
    const trend = new Trend();
    for (let n = 0; n < 50; n++) trend.add(n * STEP, n % 2 ? 0 : 3000);
    const heights = [...(trend.draw(9000)?.line ?? '').matchAll(/ ([\d.]+)/g)].map(([, y]) => Number(y));
    expect(Math.min(...heights)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...heights)).toBeLessThanOrEqual(100);
  });

  it('replaces the last point while it is younger than a step', () => {
    const trend = new Trend();
    for (let ms = 0; ms <= STEP; ms += 1000) trend.add(ms, ms);
    expect(trend.length).toBe(3);
    expect(trend.span).toBe(STEP);
  });

  it('stays bounded however long it runs', () => {
    const trend = new Trend();
    for (let n = 0; n < 100_000; n++) trend.add(n * 2_000, 1400);
    expect(trend.length).toBeLessThanOrEqual(WINDOW / STEP);
    expect(trend.span).toBeLessThanOrEqual(WINDOW);
  });

  it('begins anew when the clock goes back', () => {
    const trend = new Trend();
    trend.add(10 * STEP, 1);
    trend.add(11 * STEP, 1);
    trend.add(0, 1);
    expect(trend.length).toBe(1);
  });
});
