import { expect, it } from 'vitest';
import { isWithin, settings } from './settings.js';

it.each([
  ['nothing', '', ['fr-FR', 'de-AT', 'en-US'], { language: 'de', locale: 'de-AT', mistakes: [] }],
  ['no language that is known', '', ['fr'], { language: 'en', locale: 'en-GB', mistakes: [] }],
  ['a language', '?lang=de', ['en-US'], { language: 'de', locale: 'de-DE', mistakes: [] }],
  [
    'all of them',
    '?lang=en&tz=Europe/Berlin&theme=dark&scale=1.5&stale=30',
    ['en-US'],
    { language: 'en', locale: 'en-US', timeZone: 'Europe/Berlin', theme: 'dark', scale: 1.5, staleAfter: 30_000, mistakes: [] },
  ],
  [
    'mistakes',
    '?lang=xx&tz=Mars&theme=red&scale=0&stale=',
    ['en-US'],
    {
      language: 'en',
      locale: 'en-US',
      mistakes: [
        '?lang=xx is not understood: it is en or de',
        '?tz=Mars is not understood: it is the name of a time zone, like Europe/Berlin',
        '?theme=red is not understood: it is light or dark',
        '?scale=0 is not understood: it is a number from 0.5 to 3',
        '?stale= is not understood: it is a number of seconds from 1 to 86400',
      ],
    },
  ],
])('the address of a screen sets how it looks: %s', (_, search, languages, want) => {
  expect(settings(search, languages)).toEqual(want);
});

it('night is a span of the day, which may include midnight', () => {
  const { night = [0, 0], mistakes } = settings('?night=22:00-06:30&dim=0.3', ['en']);
  expect([night, mistakes]).toEqual([[1320, 390], []]);
  expect([1319, 1320, 1439, 0, 389, 390].map((minute) => isWithin(night, minute))).toEqual([false, true, true, true, true, false]);
  expect([539, 540, 1079, 1080].map((minute) => isWithin([540, 1080], minute))).toEqual([false, true, true, false]);
  expect(settings('?night=25:00-06:00', ['en']).mistakes).toHaveLength(1);
});
