import type { OpenAlert } from './zone.js';

/** How many lines of alerts there is room for beside the figures. */
const LINES = 5;
/** How many of these critical alerts may keep while others take turns. */
const PINNED = 3;
/** How long a page of alerts is shown, in milliseconds. */
export const TURN = 8_000;

/** The alerts that are shown at one moment. */
export interface Page {
  alerts: OpenAlert[];
  /** From 1 on. */
  page: number;
  pages: number;
}

/**
 * All alerts are shown, if not at once then in turns, in the order of their importance. Critical ones stay on every page
 * while they leave room for others.
 */
export function pageOf(alerts: OpenAlert[], now: number): Page {
  const critical = alerts.filter(({ severity }) => severity === 'critical');
  const pinned = lines(critical) <= PINNED ? critical : [];
  const pages: OpenAlert[][] = [];
  let room = 0;
  for (const alert of alerts.slice(pinned.length)) {
    if (pages.length === 0 || lines([alert]) > room) {
      pages.push([]);
      room = LINES - lines(pinned);
    }
    pages.at(-1)?.push(alert);
    room -= lines([alert]);
  }
  const page = pages.length > 0 ? Math.floor(now / TURN) % pages.length : 0;
  return { alerts: [...pinned, ...(pages[page] ?? [])], page: page + 1, pages: Math.max(1, pages.length) };
}

/** The lines that alerts take: a title, and a detail or who has seen to it, or that nobody does, where there is one. */
function lines(alerts: OpenAlert[]): number {
  return alerts.reduce((sum, { detail, acknowledged, escalated }) => sum + (detail || acknowledged || escalated ? 2 : 1), 0);
}
