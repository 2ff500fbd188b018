import { type Format, span } from './format.js';
import type { Words } from './words.js';

/** What is known of the connection and of the figures at one moment. Times are ms since 1970 by the server's clock. */
export interface Facts {
  link: 'connecting' | 'connected' | 'refused';
  /** Whether there ever was a connection. */
  wasConnected: boolean;
  now: number;
  /** When the server accepted the last event of the zone; undefined before the first. */
  updatedAt: number | undefined;
  outdated: boolean;
  /** The instance hears nothing of what is published. */
  brokerAway: boolean;
  /** For how long the figures count as live without news, in milliseconds. */
  staleAfter: number;
}

/** How far the picture can be trusted, as html[data-state] and in words. Only `live` is in colour. */
export interface Status {
  state: 'connecting' | 'waiting' | 'live' | 'stale' | 'outdated' | 'lost' | 'refused';
  headline: string;
  detail: string;
}

export function status(facts: Facts, say: Words, format: Format): Status {
  const { link, now, updatedAt, outdated, staleAfter, wasConnected, brokerAway } = facts;
  const age = updatedAt === undefined ? 0 : Math.max(0, now - updatedAt);
  const last = updatedAt === undefined ? say.nothingYet : say.lastUpdate(format.clock(updatedAt), span(age));
  if (link === 'refused') return { state: 'refused', headline: say.noAccess, detail: say.asksAgain };
  if (link === 'connecting') {
    return wasConnected
      ? { state: 'lost', headline: say.lost, detail: last }
      : { state: 'connecting', headline: say.connecting, detail: last };
  }
  if (brokerAway) return { state: 'stale', headline: say.brokerAway, detail: last };
  if (updatedAt === undefined) return { state: 'waiting', headline: say.connected, detail: last };
  if (age > staleAfter) return { state: 'stale', headline: say.noNews, detail: last };
  if (outdated) return { state: 'outdated', headline: say.missed, detail: say.nextSnapshot };
  return { state: 'live', headline: say.live, detail: say.updated(span(age)) };
}
