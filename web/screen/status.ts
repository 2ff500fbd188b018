import { clock, span } from './format.js';

/** What is known of the connection and of the figures at one moment. Times are ms since 1970 by the server's clock. */
export interface Facts {
  link: 'connecting' | 'connected' | 'refused';
  /** Whether there ever was a connection. */
  wasConnected: boolean;
  now: number;
  /** When the server accepted the last event of the zone; undefined before the first. */
  updatedAt: number | undefined;
  outdated: boolean;
  /** For how long the figures count as live without news, in milliseconds. */
  staleAfter: number;
}

/** How far the picture can be trusted, as html[data-state] and in words. Only `live` is in colour. */
export interface Status {
  state: 'connecting' | 'waiting' | 'live' | 'stale' | 'outdated' | 'lost' | 'refused';
  headline: string;
  detail: string;
}

export function status(facts: Facts): Status {
  const { link, now, updatedAt, outdated, staleAfter, wasConnected } = facts;
  const age = updatedAt === undefined ? 0 : Math.max(0, now - updatedAt);
  const last = updatedAt === undefined ? 'nothing received yet' : `last update ${clock(updatedAt)}, ${span(age)} ago`;
  if (link === 'refused') return { state: 'refused', headline: 'No access', detail: 'asks again every minute' };
  if (link === 'connecting') {
    return wasConnected
      ? { state: 'lost', headline: 'Connection lost', detail: last }
      : { state: 'connecting', headline: 'Connecting', detail: last };
  }
  if (updatedAt === undefined) return { state: 'waiting', headline: 'Connected', detail: last };
  if (age > staleAfter) return { state: 'stale', headline: 'No news', detail: last };
  if (outdated) return { state: 'outdated', headline: 'Updates were missed', detail: 'waiting for the next full snapshot' };
  return { state: 'live', headline: 'Live', detail: `updated ${span(age)} ago` };
}
