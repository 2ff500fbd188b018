/** After how long without a movement the pointer is hidden, in milliseconds. */
const IDLE = 5_000;
/** How often the picture moves by a few pixels, so that none of them shows the same for months. In milliseconds. */
const SHIFT = 60_000;
/** Where the picture goes, in pixels: up and to the left, where there is no scrolling. */
const PLACES = [[0, 0], [-3, 0], [-3, -3], [0, -3]] as const;

/** Makes the page fit for a display that nobody tends: it stays on, shows no pointer, and does not burn in. */
export function kiosk(): void {
  keepAwake();
  hidePointer();
  let turn = 0;
  setInterval(() => {
    const [x, y] = PLACES[++turn % PLACES.length] ?? PLACES[0];
    document.body.style.translate = `${x}px ${y}px`;
  }, SHIFT);
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
