import { isTimeZone } from './data.js';
import type { Language } from './words.js';

/** What the address of a screen says about how it looks: ?lang=de&tz=Europe/Berlin&theme=dark&scale=1.2&stale=30 */
export interface Settings {
  language: Language;
  /** For numbers and times; the browser's own, as long as it is of that language. */
  locale: string;
  timeZone?: string;
  theme?: 'light' | 'dark';
  scale?: number;
  /** For how long figures count as live without news, in milliseconds. */
  staleAfter?: number;
  /** After how long an alert stands out that nobody has seen to, in milliseconds. */
  escalateAfter?: number;
  /** When the display is darker, in minutes of the day at the warehouse: from, to. */
  night?: readonly [number, number];
  /** How bright it is then, from 0 to 1. */
  dim?: number;
  /** Which of the walls of a layout is shown. */
  wall?: string;
  /** What people call this screen. */
  name?: string;
  /** Whether a new critical alert moves nothing, and makes no sound. */
  still?: boolean;
  mute?: boolean;
  /** What was not understood, for the console. */
  mistakes: string[];
}

export function settings(search: string, languages: readonly string[]): Settings {
  const query = new URLSearchParams(search);
  const mistakes: string[] = [];
  const read = <Value>(name: string, parse: (text: string) => Value | undefined, want: string): Value | undefined => {
    const text = query.get(name);
    if (text === null) return undefined;
    const value = parse(text);
    if (value === undefined) mistakes.push(`?${name}=${text} is not understood: it is ${want}`);
    return value;
  };
  const between = (least: number, most: number) => (text: string) => {
    const n = Number(text);
    return text.trim() !== '' && n >= least && n <= most ? n : undefined;
  };
  const language = read('lang', (text) => known(text), 'en or de') ?? languages.map(known).find((word) => word !== undefined) ?? 'en';
  const timeZone = read('tz', (text) => (isTimeZone(text) ? text : undefined), 'the name of a time zone, like Europe/Berlin');
  const theme = read('theme', (text) => (text === 'light' || text === 'dark' ? text : undefined), 'light or dark');
  const scale = read('scale', between(0.5, 3), 'a number from 0.5 to 3');
  const stale = read('stale', between(1, 86_400), 'a number of seconds from 1 to 86400');
  const escalate = read('escalate', between(1, 1440), 'a number of minutes from 1 to 1440');
  const night = read('night', hours, 'the hours of the night, like 22:00-06:00');
  const dim = read('dim', between(0.1, 1), 'a number from 0.1 to 1');
  const name = read('name', (text) => ([...text].length <= 64 ? text.trim() : undefined), 'a name of at most 64 characters');
  const onOff = (text: string) => (text === 'on' || text === 'off' ? text : undefined);
  const motion = read('motion', onOff, 'on or off');
  const sound = read('sound', onOff, 'on or off');
  const wall = query.get('wall');
  return {
    language,
    locale: languages.find((tag) => known(tag) === language) ?? (language === 'de' ? 'de-DE' : 'en-GB'),
    ...(timeZone && { timeZone }),
    ...(theme && { theme }),
    ...(scale && { scale }),
    ...(stale && { staleAfter: stale * 1000 }),
    ...(escalate && { escalateAfter: escalate * 60_000 }),
    ...(night && { night }),
    ...(dim && { dim }),
    ...(wall && { wall }),
    ...(motion === 'off' && { still: true }),
    ...(sound === 'off' && { mute: true }),
    ...(name !== undefined && { name }),
    mistakes,
  };
}

/** Reads 22:00-06:00 as minutes of the day. */
function hours(text: string): [number, number] | undefined {
  const [, fromHour, fromMinute, toHour, toMinute] = (/^(\d{1,2}):(\d\d)-(\d{1,2}):(\d\d)$/.exec(text) ?? []).map(Number);
  if (fromHour === undefined || fromMinute === undefined || toHour === undefined || toMinute === undefined) return undefined;
  return fromHour < 24 && toHour < 24 && fromMinute < 60 && toMinute < 60 ? [fromHour * 60 + fromMinute, toHour * 60 + toMinute] : undefined;
}

/** Whether a minute of the day is in a span of them, which may include midnight. */
export function isWithin([from, to]: readonly [number, number], minute: number): boolean {
  return from <= to ? minute >= from && minute < to : minute >= from || minute < to;
}

function known(tag: string): Language | undefined {
  const language = tag.toLowerCase().split('-')[0];
  return language === 'en' || language === 'de' ? language : undefined;
}
