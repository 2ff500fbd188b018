/**
 * The program of the screen of a warehouse: all its zones, or what its LAYOUT says.
 *
 *     GET zones, each minute ─▶ subscribe ─┐
 *     Link (WebSocket) ─ events ─▶ Warehouse ┼─▶ WallView and Page, at once and each second
 *                      ─ LAYOUT ─▶ views ────┘
 */
import { Acknowledger } from './acknowledge.js';
import { joinFleet } from './fleet.js';
import { historyOf } from './history.js';
import { kiosk } from './kiosk.js';
import { DEFAULT, readLayout, type Sight, zonesIn } from './layout.js';
import { Link } from './link.js';
import { zonesOf } from './nearest.js';
import { Notice } from './notice.js';
import { Page } from './page.js';
import { askForToken, ScreenToken } from './paired.js';
import { status } from './status.js';
import { followVersion } from './version.js';
import { WallView } from './wall-view.js';
import { wallWords } from './wall-words.js';
import { Warehouse } from './warehouse.js';

/** How often the server is asked which zones there are, in milliseconds. */
const ASK_ZONES = 60_000;
/** How often the server is asked what became of alerts, in milliseconds. */
const ASK_HISTORY = 15_000;
/** How far back that goes at most, in milliseconds: a long shift. */
const SHIFT = 12 * 3_600_000;
/** How many zones are subscribed to; a connection may be in 128 rooms. */
const MAX_ZONES = 100;

const { warehouse: warehouseName = '', staleAfter = '60000' } = document.documentElement.dataset;
const page = new Page();
const { chosen, say, format } = page;
const token = new ScreenToken(chosen.name);
const shown = { warehouse: warehouseName, wall: chosen.wall ?? '' };
const warehouse = new Warehouse();
const acknowledger = new Acknowledger(warehouseName, '', token, say);
const view = new WallView({
  say,
  wallSay: wallWords[chosen.language],
  format,
  acknowledge: (alert) => acknowledger.acknowledge(alert),
  escalateAfter: chosen.escalateAfter ?? Infinity,
  notice: new Notice(chosen),
  staleAfter: ({ usualInterval }) => chosen.staleAfter ?? usualInterval.staleAfter(Number(staleAfter)),
});

let views: readonly Sight[] = DEFAULT;
/** What is wrong with the layout; empty for nothing. */
let mistake = '';
/** How many zones there are that are not subscribed to. */
let hidden = 0;
/** The zones that are subscribed to. */
let joined = new Set<string>();

const link = new Link({
  warehouse: warehouseName,
  token,
  say,
  onEvent(event, zone, data, time) {
    if (zone === undefined && event === 'LAYOUT') useLayout(data);
    else if (zone === undefined || joined.has(zone)) warehouse.apply(event, zone, data, time);
  },
  onGap: (zone) => warehouse.gap(zone),
  onRefusal: (why) => page.refusal(why),
  onUnpaired: () => askForToken(shown),
  onChange: show,
});

function useLayout(data: unknown): void {
  const layout = data === null ? { views: DEFAULT } : readLayout(data, chosen.wall ?? 'main');
  views = 'views' in layout ? layout.views : DEFAULT;
  mistake = 'mistake' in layout ? layout.mistake : '';
  findZones();
  askHistory();
}

/** Subscribes to the zones that the layout needs, and leaves others. */
async function join(): Promise<void> {
  if (link.facts.link !== 'connected') return;
  const { names, all } = zonesIn(views);
  const wanted = new Set([...names, ...(all ? await zonesOf(warehouseName, token.text) : [])]);
  const kept = new Set([...wanted].slice(0, MAX_ZONES));
  hidden = wanted.size - kept.size;
  const [before, rooms] = [joined, link.client];
  joined = kept;
  for (const zone of before)
    if (!kept.has(zone)) {
      warehouse.forget(zone);
      rooms.unsubscribe(warehouseName, zone).catch(() => {}); // it may have been refused
    }
  for (const zone of kept)
    if (!before.has(zone)) {
      warehouse.zone(zone);
      rooms.subscribe(warehouseName, zone).catch(() => joined.delete(zone)); // it is tried again with the next look
    }
  show();
}

function findZones(): void {
  join().catch(() => {}); // the server may be away: the next look is in a minute, or when it is back
}

async function readHistory(): Promise<void> {
  if (link.facts.link !== 'connected' || !views.some(({ tiles }) => tiles.some(({ kind }) => kind === 'history'))) return;
  const { now } = link;
  warehouse.history = await historyOf(warehouseName, token.text, Math.max(warehouse.shiftBegan ?? 0, now - SHIFT));
  show();
}

function askHistory(): void {
  readHistory().catch(() => {}); // the server may be away: what was known stays
}

function show(): void {
  const { now, facts } = link;
  const known = [...warehouse.zones.values()];
  format.timeZone = chosen.timeZone ?? known.find(({ plan }) => plan.timeZone)?.plan.timeZone;
  const times = known.map(({ updatedAt }) => updatedAt).filter((at) => at !== undefined);
  const updatedAt = times.length > 0 ? Math.max(...times) : undefined;
  page.clock(now);
  const worth = views === DEFAULT && warehouse.history.length === 0 ? DEFAULT.slice(0, 1) : views;
  view.show(warehouse, worth, { now, hidden, mistake });
  // Each zone says for itself how old its figures are.
  page.status(status({ ...facts, now, updatedAt, outdated: false, staleAfter: Infinity }, say, format), warehouseName, view.critical);
}

addEventListener('hashchange', () => location.reload());
addEventListener('resize', show);
document.fonts.ready.then(show, () => {});
link.client.on('connected', () => {
  findZones();
  askHistory();
});

show();
setInterval(show, 1_000);
setInterval(findZones, ASK_ZONES);
setInterval(askHistory, ASK_HISTORY);
followVersion(() => !acknowledger.busy);
joinFleet(link, shown, token, chosen.name);
kiosk(page, () => link.now);
link.connect();
