/**
 * The service worker of wall screens: a display that is switched on, or loads its page anew, while no server answers, gets
 * the page that it had last, which goes on asking.
 *
 *     the browser ── a page under /screen/ ──▶ server ── answers ──▶ kept, shown
 *                                                    └─ not, or 5xx ──▶ the page that was kept, or one that tries again
 */
interface Worker {
  addEventListener(name: 'install' | 'activate', listener: (event: { waitUntil(done: Promise<unknown>): void }) => void): void;
  addEventListener(name: 'fetch', listener: (event: { request: Request; respondWith(answer: Promise<Response>): void }) => void): void;
  skipWaiting(): Promise<void>;
  clients: { claim(): Promise<void> };
}

const worker = globalThis as unknown as Worker;

const CACHE = 'zonecast-screens';
/** How long the server may take to answer, in milliseconds. */
const PATIENCE = 10_000;
/** How many pages are kept. */
const MAX_KEPT = 20;
/** Pages of a warehouse or a zone; not the list of zones, which is for who signed in. */
const SCREEN = /\/screen\/[^/]+(\/[^/]+)?$/;

worker.addEventListener('install', (event) => event.waitUntil(worker.skipWaiting()));
worker.addEventListener('activate', (event) => event.waitUntil(worker.clients.claim()));
worker.addEventListener('fetch', (event) => {
  const { mode, url, method } = event.request;
  if (mode === 'navigate' && method === 'GET' && SCREEN.test(new URL(url).pathname)) event.respondWith(load(event.request));
});

async function load(request: Request): Promise<Response> {
  const { origin, pathname } = new URL(request.url); // what follows ? may be a token
  const kept = await caches.open(CACHE);
  const answer = await fetch(request, { signal: AbortSignal.timeout(PATIENCE) }).catch(() => undefined);
  if (answer?.ok && answer.headers.has('Zonecast-Build')) {
    await kept.put(origin + pathname, answer.clone()).catch(() => {}); // where there is no room for it
    for (const old of (await kept.keys()).slice(0, -MAX_KEPT)) await kept.delete(old);
    return answer;
  }
  if (answer && answer.status < 500 && answer.status !== 429) return answer;
  return (await kept.match(origin + pathname)) ?? tryAgain();
}

function tryAgain(): Response {
  const html = '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>No server</title><h1>No server answers</h1><p>This screen tries again every 5 seconds.</p></html>';
  return new Response(html, { status: 503, headers: { 'Content-Type': 'text/html; charset=utf-8', Refresh: '5' } });
}

export {};
