import type { Language } from './words.js';

/** What the screen of a warehouse says besides what all screens do. */
const en = {
  zone: 'Zone',
  rate: 'Rate per hour',
  plan: 'Plan',
  orders: 'Orders',
  people: 'People',
  alerts: 'Alerts',
  age: 'Updated',
  ago: (age: string) => `${age} ago`,
  old: (age: string) => `old: ${age}`,
  never: 'no data yet',
  noZones: 'Nobody has published to a zone of this warehouse yet',
  more: (count: string) => `${count} more zones are not shown: name those that matter in a layout`,
  page: (page: number, pages: number) => `${page}/${pages}`,
  badLayout: (mistake: string) => `The layout is not understood. ${mistake}`,
  tooLow: 'too low',
  tooHigh: 'too high',
  none: 'none',
  building: 'building',
  raised: 'Raised',
  seenAfter: 'Seen after',
  clearedAfter: 'Cleared after',
  open: 'open',
  noAlerts: 'No alerts in this shift',
};

const de: typeof en = {
  zone: 'Bereich',
  rate: 'Leistung je Stunde',
  plan: 'Plan',
  orders: 'Aufträge',
  people: 'Im Einsatz',
  alerts: 'Meldungen',
  age: 'Stand',
  ago: (age) => `vor ${age}`,
  old: (age) => `alt: ${age}`,
  never: 'noch keine Daten',
  noZones: 'Für dieses Lager wurde noch kein Bereich gemeldet',
  more: (count) => `${count} weitere Bereiche sind nicht zu sehen: die wichtigen in einem Layout nennen`,
  page: (page, pages) => `${page}/${pages}`,
  badLayout: (mistake) => `Das Layout ist nicht zu verstehen. ${mistake}`,
  tooLow: 'zu niedrig',
  tooHigh: 'zu hoch',
  none: 'keine',
  building: 'Gebäude',
  raised: 'Gemeldet',
  seenAfter: 'Gesehen nach',
  clearedAfter: 'Erledigt nach',
  open: 'offen',
  noAlerts: 'Keine Meldungen in dieser Schicht',
};

export type WallWords = typeof en;

export const wallWords: Record<Language, WallWords> = { en, de };
