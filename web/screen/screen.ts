/**
 * The program of a wall screen.
 *
 *     WebSocket client ─ events ─▶ Zone ─┐
 *                      ─ state ──▶ Facts ┼─▶ View, at once and each second
 *                        the clock ──────┘
 *
 * It is made to run for months: everything it keeps is bounded, the client never gives up, and when the server has another
 * version of this page, the page loads itself anew.
 */
import { base } from '../base/base.js';
import { createWebSocketClient } from '../client/src/index.js';
import { Acknowledger } from './acknowledge.js';
import { Format } from './format.js';
import { kiosk } from './kiosk.js';
import { type Refusal, refusal } from './refusal.js';
import { settings } from './settings.js';
import { status } from './status.js';
import { choose } from './theme.js';
import { tokenOf } from './token.js';
import { View } from './view.js';
import { words } from './words.js';
import { type Scope, Zone } from './zone.js';

/** How long after a refusal (a token that ran out, say) the screen asks again. In milliseconds. */
const ASK_AGAIN = 60_000;
/** How often the screen asks which version of the page the server has, about. In milliseconds. */
const ASK_VERSION = 15_000;

const { warehouse = '', zone: zoneName = '', build = '', staleAfter = '60000' } = document.documentElement.dataset;
const token = tokenOf(location);
const chosen = settings(location.search, navigator.languages);
for (const mistake of chosen.mistakes) console.warn('zonecast screen:', mistake);
const say = words[chosen.language];
const format = new Format(chosen.locale, chosen.timeZone);
Object.assign(document.documentElement, { lang: chosen.language });
if (chosen.theme) choose(chosen.theme);
if (chosen.scale) document.documentElement.style.setProperty('--scale', String(chosen.scale));
const zone = new Zone();
const acknowledger = new Acknowledger(warehouse, zoneName, token, say);
const view = new View(zoneName, say, format, (alert) => acknowledger.acknowledge(alert), chosen.escalateAfter ?? Infinity);

/** What has to be added to this machine's clock to get the server's, in milliseconds. */
let clockSkew = 0;
let wasConnected = false;
/** Whether the instance says that its broker is away: what is published does not reach it. */
let brokerAway = false;
/** The version that the server had when it was last asked. */
let otherBuild: string | null = null;
/** Why the server does not let this screen in; it stands until the server is heard to have changed its mind, or is away. */
let refused: Refusal | undefined;

const client = createWebSocketClient({
  url: location.origin + base,
  warehouse,
  zone: zoneName,
  ...(token ? { token } : {}),
  autoReconnect: true,
  backoffCap: 10_000,
  onError: (error) => console.warn('zonecast screen:', error),
});

function show(): void {
  const now = Date.now() + clockSkew;
  format.timeZone = chosen.timeZone ?? zone.plan.timeZone;
  view.zone(zone, now);
  view.status(
    status(
      {
        link: refused ? 'refused' : client.state.name === 'connected' ? 'connected' : 'connecting',
        wasConnected,
        now,
        updatedAt: zone.updatedAt,
        outdated: zone.outdated,
        brokerAway,
        staleAfter: chosen.staleAfter ?? zone.usualInterval.staleAfter(Number(staleAfter)),
      },
      say,
      format,
    ),
  );
}

function connect(): void {
  client.connect().catch(() => {}); // the state tells the same, also when a connection that was good is refused later
}

/**
 * Loads the page anew when the server has another version of it. While that is rolled out each answer may be of another
 * instance: a version counts when two answers in a row have it. The moment is quiet when nobody is about to enter a PIN.
 */
async function reloadWhenOutdated(): Promise<void> {
  const answer = await fetch(location.pathname, { method: 'HEAD', cache: 'no-store' });
  const present = answer.ok ? answer.headers.get('Zonecast-Build') : null;
  const confirmed = present !== null && present !== build && present === otherBuild;
  otherBuild = present;
  if (confirmed && !acknowledger.busy) location.reload();
}

function noteBroker({ broker }: { broker?: string }): void {
  brokerAway = broker === 'unavailable';
}

function askVersion(): void {
  setTimeout(() => reloadWhenOutdated().catch(() => {}).finally(askVersion), ASK_VERSION * (0.75 + Math.random() / 2));
}

function scopeOf(room: string | undefined): Scope {
  return room === `warehouse:${warehouse}` ? 'warehouse' : 'zone';
}

client.on('connected', (connected) => {
  const { serverTime } = connected;
  noteBroker(connected);
  clockSkew = serverTime - Date.now();
  wasConnected = true;
  show();
});
client.on('heartbeat', (heartbeat) => {
  noteBroker(heartbeat);
  show();
});
client.on('gap', ({ room }) => {
  zone.gap(scopeOf(room));
  show();
});
client.onAny((data, { event, room, time }) => {
  if (room === undefined) return;
  zone.apply(event, scopeOf(room), data, time);
  show();
});
client.onState((state) => {
  if (state.name === 'failed') {
    refused = refusal(state.error, token !== undefined, say);
    view.refusal(refused);
    setTimeout(connect, ASK_AGAIN);
  } else if (state.name !== 'connecting') refused = undefined;
  show();
});
// Whoever types another token behind # has not loaded the page with it yet.
addEventListener('hashchange', () => location.reload());
addEventListener('resize', show);
document.fonts.ready.then(show, () => {});

show();
setInterval(show, 1_000);
askVersion();
kiosk();
connect();
