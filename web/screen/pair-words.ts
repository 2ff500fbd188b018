import type { Language } from './words.js';

/** What a screen says that has no token. */
const en = {
  title: 'Pair this screen',
  qr: 'The address of the page, with the code',
  enter: 'An operator scans this, or enters the code at',
  enterInDashboard: 'An operator enters the code at “Wall screens” in the dashboard.',
  asks: 'Getting a code …',
  waits: (time: string) => `Waits for an operator. New code at ${time}.`,
  full: 'Too many screens show a code: this one tries again by itself.',
  away: 'No server answers: this screen tries again by itself.',
  impossible: 'This screen can’t be paired.',
  serverSays: (sentence: string) => `The server says: ${sentence}.`,
};

const de: typeof en = {
  title: 'Diese Anzeige koppeln',
  qr: 'Die Adresse der Seite, mit dem Code',
  enter: 'Die Leitstelle scannt dies oder gibt den Code ein unter',
  enterInDashboard: 'Die Leitstelle gibt den Code im Dashboard unter „Wall screens“ ein.',
  asks: 'Holt einen Code …',
  waits: (time) => `Wartet auf die Leitstelle. Neuer Code um ${time}.`,
  full: 'Zu viele Anzeigen zeigen einen Code: diese versucht es von selbst wieder.',
  away: 'Kein Server antwortet: diese Anzeige versucht es von selbst wieder.',
  impossible: 'Diese Anzeige lässt sich nicht koppeln.',
  serverSays: (sentence) => `Der Server sagt: ${sentence}.`,
};

export type PairWords = typeof en;

export const pairWords: Record<Language, PairWords> = { en, de };
