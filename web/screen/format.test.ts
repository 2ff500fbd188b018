import { expect, it } from 'vitest';
import { age, Format } from './format.js';

it('writes numbers and times as people of a place do', () => {
  const british = new Format('en-GB', 'UTC');
  const german = new Format('de-DE', 'Europe/Berlin');
  const at = Date.UTC(2026, 2, 29, 1, 30); // the hour that Berlin skips
  expect([british.whole(11_600), british.short(1_234_567), british.short(9_999), british.percent(1.21), british.hour(at)]).toEqual(['11,600', '1.23 M', '9,999', '121 %', '01:30']);
  expect([german.whole(11_600), german.short(12_345), german.percent(9.5), german.percent(12.1), german.clock(at)]).toEqual(['11.600', '12,3 k', '950 %', '> 999 %', '03:30:00']);
  german.timeZone = 'America/New_York';
  expect(german.hour(at)).toBe('21:30');
  expect(german.hour(Date.UTC(2026, 0, 1, 5))).toBe('00:00');
});

it.each([
  [-5, '1 min'],
  [59_000, '1 min'],
  [12 * 60_000, '12 min'],
  [90 * 60_000, '1 h'],
  [47 * 3_600_000, '47 h'],
  [80 * 3_600_000, '3 d'],
])('an age of %d ms is %s', (ms, want) => {
  expect(age(ms)).toBe(want);
});
