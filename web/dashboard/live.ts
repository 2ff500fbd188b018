/**
 * Watches the page's event stream, so that figures never look live when they are not.
 *
 *     hx-sse ─ message ─▶ live         html[data-link] = connecting | live | lost
 *            ─ error ───▶ lost         #link, #lost: the same in words; the sign-in page if the session has ended
 *            ─ silence ─▶ lost, and the stream is opened anew
 *
 * This program runs before htmx, so that it misses none of its events.
 *
 * htmx does the drawing and the ordinary reconnecting. What it does not notice is a connection that says nothing without
 * being closed (a cable pulled, a server that hangs), and a first connection that could not be made: those are found here.
 */
import { base } from '../base/base.js';

/** The server sends something for every snapshot, at the latest every three seconds. In milliseconds. */
const SILENCE = 6_000;

/** The part of the stream's element that hx-sse hands out with its events. */
interface Connection {
  reader: ReadableStreamDefaultReader | null;
}

const page = document.documentElement;
const title = document.title;

/** When the last message came; before the first, when the page was made. Only differences count: the clock may be set. */
let heardAt = performance.now();
/** The same moment as a time of day. */
let heardWhen = new Date();
/** When silence began to count: the last message, or when the tab came to the front again. */
let listeningSince = heardAt;
let connection: Connection | undefined;

function enter(link: 'connecting' | 'live' | 'lost'): void {
  if (page.dataset.link === link) return;
  page.dataset.link = link;
  const since = heardWhen.toLocaleTimeString(undefined, { hour12: false });
  say('link', link, false);
  say('lost', `Connection to the server lost since ${since}. What stands below was true then.`, link !== 'lost');
  document.title = link === 'lost' ? `Connection lost – ${title}` : title;
}

/** Title and icon of the tab say what the verdict says, unless the page does not know. */
function showVerdict(): void {
  const level = document.getElementById('verdict')?.dataset.level ?? 'ok';
  const live = page.dataset.link === 'live';
  if (live) document.title = level === 'ok' ? title : `${level === 'down' ? 'Down' : 'Degraded'} – ${title}`;
  const icon = document.getElementById('icon');
  const address = icon?.dataset[live ? level : 'down'];
  if (icon && address && icon.getAttribute('href') !== address) icon.setAttribute('href', address);
}

/** The build that this page is of. */
const build = document.getElementById('asof')?.dataset.build;

/** Offers to load the page anew when the server has another version of it. */
function compareBuild(): void {
  const now = document.getElementById('asof')?.dataset.build;
  const place = document.getElementById('renew');
  if (place) place.hidden = !now || now === build;
}

function say(id: string, text: string, hidden: boolean): void {
  const place = document.getElementById(id);
  if (!place) return;
  place.hidden = hidden;
  place.textContent = text;
}

function heard(): void {
  heardAt = listeningSince = performance.now();
  heardWhen = new Date();
  enter('live');
  // htmx has put the message in its place by then.
  requestAnimationFrame(() => {
    showVerdict();
    compareBuild();
  });
}

/** Opens the stream anew: by ending what hangs, or where nothing is under way, by beginning. */
function reconnect(): void {
  listeningSince = performance.now();
  if (connection) void connection.reader?.cancel().catch(() => {});
  else document.getElementById('stream')?.dispatchEvent(new CustomEvent('zonecast:reconnect'));
}

/** Why the stream ended, by what the server answers; other answers and none are a connection that is lost. */
const REFUSALS: Record<number, string> = {
  403: 'You may not see this page any more: sign in as somebody who may. What stands below was true before.',
  503: 'Too many dashboards are open, or the server is leaving: close some of them. What stands below was true before.',
};

/** Leads to the sign-in page and back when the session has ended; else says why the server refuses the stream. */
async function explainRefusal(): Promise<void> {
  const answer = await fetch(`${base}/ui/events`, { method: 'HEAD', signal: AbortSignal.timeout(3_000) }).catch(() => undefined);
  const refusal = REFUSALS[answer?.status ?? 0];
  if (refusal && page.dataset.link === 'lost') say('lost', refusal, false);
  if (answer?.status !== 401) return;
  // The server adds the base to where it redirects.
  const next = encodeURIComponent(location.pathname.slice(base.length) + location.search);
  location.assign(`${base}/ui/login?reason=ended&next=${next}`);
}

function check(): void {
  if (document.hidden) return; // hx-sse rests as well
  if (performance.now() - listeningSince < SILENCE) return;
  enter('lost');
  reconnect();
}

document.addEventListener('htmx:sse:after:connection', (event) => {
  connection = (event as CustomEvent<{ connection: Connection }>).detail.connection;
});
document.addEventListener('htmx:sse:close', (event) => {
  if ((event as CustomEvent<{ connection: Connection }>).detail.connection === connection) connection = undefined;
});
document.addEventListener('htmx:sse:after:message', heard);
document.addEventListener('htmx:sse:error', () => {
  enter('lost');
  showVerdict();
  void explainRefusal();
});
document.addEventListener('visibilitychange', () => {
  if (document.hidden) return;
  listeningSince = performance.now();
  if (page.dataset.link !== 'lost' && performance.now() - heardAt > SILENCE) enter('connecting');
});
setInterval(check, 1_000);

/** The key / leads to the page's search, unless something is being written. */
document.addEventListener('keydown', (event) => {
  const writing = event.target instanceof Element && event.target.closest('input, select, textarea');
  if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || writing) return;
  const search = document.querySelector<HTMLInputElement>('input[type=search]');
  if (!search) return;
  event.preventDefault();
  search.focus();
  search.select();
});
