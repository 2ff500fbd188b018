import type { Page } from './page.js';
import { isWithin } from './settings.js';

/** After how long without a movement the pointer is hidden, in milliseconds. */
const IDLE = 5_000;
/** How often the picture moves by a few pixels, so that none of them shows the same for months. In milliseconds. */
const SHIFT = 60_000;
/** How often it is looked whether it is night, in milliseconds. */
const LOOK = 1_000;
/** Where the picture goes, in pixels: up and to the left, where there is no scrolling. */
const PLACES = [[0, 0], [-3, 0], [-3, -3], [0, -3]] as const;

/** Makes the page fit for a display that nobody tends: it stays on, shows no pointer, does not burn in, and is dark at night. */
export function kiosk({ chosen, format }: Pick<Page, 'chosen' | 'format'>, now: () => number): void {
  keepAwake();
  hidePointer();
  fullScreenKey();
  keepForOutages();
  let turn = 0;
  setInterval(() => {
    const [x, y] = PLACES[++turn % PLACES.length] ?? PLACES[0];
    document.body.style.translate = `${x}px ${y}px`;
  }, SHIFT);
  const { night } = chosen;
  if (!night) return;
  const look = () => document.documentElement.toggleAttribute('data-night', isWithin(night, format.minuteOfDay(now())));
  document.documentElement.style.setProperty('--dim', String(chosen.dim ?? 0.4));
  look();
  setInterval(look, LOOK);
}

/** The browser gives the lock back whenever the page is out of sight. */
function keepAwake(): void {
  const ask = () => {
    if (document.visibilityState === 'visible') navigator.wakeLock?.request('screen').catch(() => {}); // the machine's own settings hold
  };
  document.addEventListener('visibilitychange', ask);
  ask();
}

/** Until someone points at something, the page has neither a pointer nor buttons, which take room from what alerts say. */
function hidePointer(): void {
  const { documentElement: page } = document;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const moved = () => {
    page.removeAttribute('data-idle');
    clearTimeout(timer);
    timer = setTimeout(() => page.setAttribute('data-idle', ''), IDLE);
  };
  for (const event of ['pointermove', 'pointerdown', 'keydown']) addEventListener(event, moved);
  page.setAttribute('data-idle', '');
}

/** F fills the screen with the page, or ends that. */
function fullScreenKey(): void {
  addEventListener('keydown', ({ key, ctrlKey, metaKey, altKey, target }) => {
    if (key.toLowerCase() !== 'f' || ctrlKey || metaKey || altKey || target instanceof HTMLInputElement) return;
    const change = document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen();
    change.catch(() => {}); // the browser does not allow it
  });
}

/** A page that is loaded while no server answers is the last one that was, which goes on asking. Browsers want HTTPS for it. */
function keepForOutages(): void {
  const { base = '' } = document.documentElement.dataset;
  navigator.serviceWorker?.register(`${base}/screen/worker.js`).catch(() => {}); // it can be done without
}
