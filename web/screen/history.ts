import { base } from '../base/base.js';
import { bearer } from './token.js';

/** What became of an alert, as the server has it. Times are ms since 1970, spans ms. */
export interface Past {
  room: string;
  severity: string;
  title: string;
  raisedAt: number;
  acknowledgedBy?: string;
  acknowledgedAt?: number;
  escalatedAt?: number;
  endedAt?: number;
  timeToAcknowledge?: number;
  timeToClear?: number;
}

/** The alerts of a warehouse that were open since a time, the latest first. */
export async function historyOf(warehouse: string, token: string | undefined, since: number): Promise<Past[]> {
  const answer = await fetch(`${base}/api/v1/warehouses/${warehouse}/alerts/history?since=${Math.floor(since)}`, {
    cache: 'no-store',
    headers: bearer(token),
  });
  if (!answer.ok) throw new Error(`the history of ${warehouse}: ${answer.status}`);
  return ((await answer.json()) as { alerts: Past[] }).alerts;
}
