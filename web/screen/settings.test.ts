import { expect, it } from 'vitest';
import { settings } from './settings.js';

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
