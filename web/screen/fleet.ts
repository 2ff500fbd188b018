/**
 * The screen among the others: it tells the server who it is and what it shows, and does what an operator wants of it.
 *
 *     each 15 s, and with each connection ─▶ POST …/screens
 *     @screen ─▶ show the name · load the page anew · go to the page of another zone
 */
import { base } from '../base/base.js';
import { make } from './dom.js';
import { addressOf, identity, type Place, storage } from './identity.js';
import type { Link } from './link.js';
import type { ScreenToken } from './paired.js';
import { bearer } from './token.js';

/** How often the screen says that it is there, about. In milliseconds: the server calls one dark after three times as long. */
const CHECK_IN = 15_000;
/** For how long it shows its name, in milliseconds. */
const NAME_SHOWN = 15_000;

interface Command extends Partial<Place> {
  do?: string;
}

/** Makes the screen one of the fleet. */
export function joinFleet(link: Link, shown: Place, token: ScreenToken, name: string | undefined): void {
  const self = identity(name, storage());
  const { build = '' } = document.documentElement.dataset;
  let connectionId = '';

  /** Tells that the screen shows a place, and returns whether it may. */
  const checkIn = async ({ warehouse, zone, wall = '' }: Place): Promise<boolean> => {
    const room = zone ? `${encodeURIComponent(warehouse)}/zones/${encodeURIComponent(zone)}` : encodeURIComponent(warehouse);
    const { ok } = await fetch(`${base}/api/v1/warehouses/${room}/screens`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...bearer(token.text) },
      body: JSON.stringify({ ...self, wall, build, loadedAt: Math.round(link.now - performance.now()), connectionId }),
    });
    return ok;
  };
  const tell = () => checkIn(shown).catch(() => {}); // the server is away, or is asked again soon

  const obey = async (command: Command): Promise<void> => {
    if (command.do === 'identify') showName(self.name || self.id.slice(0, 4));
    else if (command.do === 'reload') location.reload();
    else if (command.do === 'show' && command.warehouse) {
      const place = { warehouse: command.warehouse, ...(command.zone && { zone: command.zone }), ...(command.wall && { wall: command.wall }) };
      // A screen that went where its token does not let it could not be told to come back.
      if (await checkIn(place)) location.assign(base + addressOf(place, location));
      else await tell();
    }
  };

  link.client.on('connected', (connected) => {
    connectionId = connected.connectionId;
    tell();
  });
  link.client.on('@screen', (data: unknown) => {
    obey((data ?? {}) as Command).catch(() => {}); // the server is away: the operator sees that nothing changes
  });
  setInterval(tell, CHECK_IN);
}

let shownName: HTMLElement | undefined;

/** Shows the name of the screen over everything else for a while. */
function showName(name: string): void {
  shownName?.remove();
  const sign = make('p', 'identity', make('bdi', '', name));
  sign.setAttribute('role', 'status');
  sign.style.setProperty('--length', String(Math.max(4, [...name].length)));
  shownName = sign;
  document.body.append(sign);
  setTimeout(() => sign.remove(), NAME_SHOWN);
}
