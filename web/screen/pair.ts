/**
 * The program of /screen/pair, for a screen that has no token, or whose token is not accepted any longer.
 *
 *     POST …/pairings, each 3 s, with the ticket ─▶ a code, shown ─▶ (an operator confirms it) ─▶ the token, kept
 *     the token that was kept, each minute ─▶ POST …/pairings/renew ─▶ is it accepted again?
 *                                     with either ─▶ the page of the zone or warehouse
 */
import { base } from '../base/base.js';
import { ZonecastError } from '../client/src/errors.js';
import { set, write } from './dom.js';
import { Format } from './format.js';
import { addressOf, identity, type Place, storage } from './identity.js';
import { kiosk } from './kiosk.js';
import { pairWords, type PairWords } from './pair-words.js';
import { Keeper } from './paired.js';
import { settings } from './settings.js';
import { choose } from './theme.js';
import { followVersion } from './version.js';

/** How long the screen waits after a failure, in milliseconds. */
const AGAIN = 10_000;
/** How often it is tried whether a token that was refused is accepted again, in milliseconds: an instance may have been set up wrongly. */
const RETRY = 60_000;

interface Answer {
  code?: string;
  ticket?: string;
  address?: string;
  qr?: { size: number; path: string };
  expiresIn?: number;
  interval?: number;
  token?: string;
  renewAfter?: number;
  name?: string;
  warehouse?: string;
  zones?: string[];
  detail?: string;
}

const query = new URLSearchParams(location.search);
const chosen = settings(location.search, navigator.languages);
const say: PairWords = pairWords[chosen.language];
const format = new Format(chosen.locale, chosen.timeZone);
const keeper = new Keeper(chosen.name, storage());
/** What the screen was opened for. */
const wanted = query.get('for') ?? '';
let ticket: string | undefined;

/** Shows the page of a place, with all that the address of this one sets. */
function go(place: Place): void {
  query.delete('for');
  location.replace(base + addressOf(place, { search: query.toString(), hash: '' }));
}

/** What a screen shows that may see these zones; with several of them, the whole warehouse as far as it may see it. */
function placeOf({ warehouse = '', zones = [] }: Answer): Place {
  const [first] = zones;
  if (first !== undefined && zones.length === 1) return { warehouse, zone: first };
  const [, wall] = wanted.split('?wall=');
  return { warehouse, ...(wall && { wall }) };
}

/** Asks once, and returns after how many milliseconds to ask again. */
async function come(): Promise<number> {
  const response = await fetch(`${base}/api/v1/pairings`, {
    method: 'POST',
    cache: 'no-store',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ ticket, name: chosen.name, place: wanted }),
  });
  const answer = (await response.json()) as Answer;
  if (!response.ok) {
    forget(response.status === 429 ? say.full : `${say.impossible} ${say.serverSays(answer.detail ?? '')}`);
    return response.status === 429 ? AGAIN : RETRY;
  }
  if (answer.token) {
    const place = placeOf(answer);
    keeper.keep(answer.token, answer.renewAfter ?? 0, place);
    if (chosen.name === undefined && answer.name) identity(answer.name, storage());
    go(place);
    return RETRY; // the page is about to be another one
  }
  show(answer);
  return answer.interval ?? AGAIN;
}

function show({ code = '', ticket: own, address, qr, expiresIn = 0 }: Answer): void {
  ticket = own;
  write('code', code);
  write('how', address ? say.enter : say.enterInDashboard);
  write('address', (address ?? '').replace(/^https?:\/\//, ''));
  write('state', say.waits(format.hour(Date.now() + expiresIn)));
  if (!qr) return;
  set('qr', 'viewBox', `0 0 ${qr.size} ${qr.size}`);
  set('qr-path', 'd', qr.path);
  document.getElementById('qr')?.removeAttribute('hidden');
}

/** Shows no code, but why there is none. */
function forget(why: string): void {
  ticket = undefined;
  for (const id of ['code', 'how', 'address']) write(id, '');
  document.getElementById('qr')?.setAttribute('hidden', '');
  write('state', why);
}

async function ask(): Promise<void> {
  const wait = await come().catch(() => {
    write('state', say.away); // the code stays: it may still be confirmed
    return AGAIN;
  });
  setTimeout(ask, wait);
}

/** Tries the token that was kept; one that is not accepted stays, until the screen is given another one. */
async function tryKept(): Promise<void> {
  try {
    go((await keeper.renew()).place);
  } catch (error) {
    const { kept } = keeper;
    const isRefused = error instanceof ZonecastError && error.code === 'unauthenticated';
    if (kept && !isRefused && !wanted) go(kept.place); // no server answers: that page says so, and goes on asking
  }
}

document.documentElement.lang = chosen.language;
document.title = say.title;
for (const element of document.querySelectorAll<HTMLElement>('[data-word]')) element.textContent = say[element.dataset.word as 'title'];
write('qr-title', say.qr);
write('state', say.asks);
if (chosen.theme) choose(chosen.theme);
if (chosen.scale) document.documentElement.style.setProperty('--scale', String(chosen.scale));

setInterval(tryKept, RETRY);
followVersion(() => true);
kiosk({ chosen, format }, Date.now);
// Who was sent here since its token was refused does not go back at once.
(wanted || !keeper.kept ? Promise.resolve() : tryKept()).then(ask);
