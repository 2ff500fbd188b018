import { base } from '../base/base.js';
import { make, place, write } from './dom.js';
import type { ScreenToken } from './paired.js';
import { bearer } from './token.js';
import type { Words } from './words.js';

/** How often a screen that waits asks for the zones that there are, in milliseconds. */
const ASK = 30_000;

export interface Waiting {
  warehouse: string;
  zone: string;
  token: ScreenToken;
  say: Words;
  isWaiting(): boolean;
}

/** The zones of a warehouse that were published to; with `near` the few whose names are most like that one. */
export async function zonesOf(warehouse: string, token: string | undefined, near?: string): Promise<string[]> {
  const query = near === undefined ? '' : `?near=${encodeURIComponent(near)}`;
  const answer = await fetch(`${base}/api/v1/warehouses/${warehouse}/zones${query}`, {
    cache: 'no-store',
    headers: bearer(token),
  });
  if (!answer.ok) throw new Error(`the zones of ${warehouse}: ${answer.status}`);
  return ((await answer.json()) as { zones: string[] }).zones;
}

/** Says on a screen that waits for its first message whether its zone was ever published to, and else which others are. */
export function offerZones(waiting: Waiting): void {
  const { isWaiting } = waiting;
  const ask = async () => {
    if (!isWaiting()) return;
    const near = await zonesOf(waiting.warehouse, waiting.token.text, waiting.zone);
    if (isWaiting()) show(waiting, near);
  };
  setInterval(() => ask().catch(() => {}), ASK);
  setTimeout(() => ask().catch(() => {}), 1_000);
}

function show({ zone, warehouse, say }: Waiting, near: string[]): void {
  const known = near.includes(zone);
  write('waiting-title', known ? say.waitingTitle : say.neverTitle(zone));
  write('waiting-text', known ? say.waitingKnown : say.waitingText);
  const links = near.filter((name) => name !== zone).map((name) => {
    const link = make('a', '', name);
    link.href = `${base}/screen/${warehouse}/${name}${location.search}${location.hash}`;
    return make('li', '', link);
  });
  place('nearest').replaceChildren(...links);
  place('nearest-panel').hidden = known || links.length === 0;
}
