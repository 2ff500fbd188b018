/**
 * The program of a wall screen of a zone.
 *
 *     Link (WebSocket) ─ events ─▶ Zone ─┐
 *                      ─ state ──▶ Facts ┼─▶ View and Page, at once and each second
 *                        the clock ──────┘
 *
 * It is made to run for months: everything it keeps is bounded, the client never gives up, and when the server has another
 * version of this page, the page loads itself anew.
 */
import { Acknowledger } from './acknowledge.js';
import { joinFleet } from './fleet.js';
import { kiosk } from './kiosk.js';
import { Link } from './link.js';
import { offerZones } from './nearest.js';
import { Notice } from './notice.js';
import { Page } from './page.js';
import { askForToken, ScreenToken } from './paired.js';
import { status } from './status.js';
import { followVersion } from './version.js';
import { View } from './view.js';
import { Zone } from './zone.js';

const { warehouse = '', zone: zoneName = '', staleAfter = '60000' } = document.documentElement.dataset;
const page = new Page();
const { chosen, say, format } = page;
const token = new ScreenToken(chosen.name);
const shown = { warehouse, zone: zoneName };
const zone = new Zone();
const acknowledger = new Acknowledger(warehouse, zoneName, token, say);
const view = new View(zoneName, {
  say,
  format,
  acknowledge: (alert) => acknowledger.acknowledge(alert),
  escalateAfter: chosen.escalateAfter ?? Infinity,
  notice: new Notice(chosen),
});
const link = new Link({
  warehouse,
  zone: zoneName,
  token,
  say,
  onEvent: (event, of, data, time) => zone.apply(event, of ? 'zone' : 'warehouse', data, time),
  onGap: (of) => zone.gap(of ? 'zone' : 'warehouse'),
  onRefusal: (why) => page.refusal(why),
  onUnpaired: () => askForToken(shown),
  onChange: show,
});

function show(): void {
  const { now } = link;
  format.timeZone = chosen.timeZone ?? zone.plan.timeZone;
  view.zone(zone, now);
  const { updatedAt, outdated, usualInterval } = zone;
  const facts = { ...link.facts, now, updatedAt, outdated, staleAfter: chosen.staleAfter ?? usualInterval.staleAfter(Number(staleAfter)) };
  page.status(status(facts, say, format), view.name, view.critical);
}

// Whoever types another token behind # has not loaded the page with it yet.
addEventListener('hashchange', () => location.reload());
addEventListener('resize', show);
document.fonts.ready.then(show, () => {});

show();
setInterval(show, 1_000);
followVersion(() => !acknowledger.busy);
offerZones({ warehouse, zone: zoneName, token, say, isWaiting: () => link.facts.link === 'connected' && zone.updatedAt === undefined });
joinFleet(link, shown, token, chosen.name);
kiosk(page, () => link.now);
link.connect();
