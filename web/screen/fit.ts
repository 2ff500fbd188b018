/** The smallest part of its size that a number shrinks to, before it is written shorter. */
const LEAST = 0.55;

/**
 * Writes a number so that no digit of it is ever cut: smaller where it has no room, and as `short` where it would become
 * too small to be read from afar. The style sheet multiplies the size by --fit.
 */
export function fit(element: HTMLElement, whole: string, short: string): void {
  const { parentElement } = element;
  if (!parentElement) return;
  const room = `${parentElement.clientWidth}×${parentElement.clientHeight}`;
  if (element.dataset.number === whole && element.dataset.room === room) return;
  Object.assign(element.dataset, { number: whole, room });
  for (const text of [whole, short]) {
    element.textContent = text;
    element.style.setProperty('--fit', '1');
    const part = roomFor(element);
    if (part >= 1) return;
    element.style.setProperty('--fit', String(Math.floor(part * 100) / 100));
    if (part >= LEAST) return;
  }
}

/** Which part of its width there is room for. */
function roomFor(element: HTMLElement): number {
  return element.clientWidth / Math.max(1, element.scrollWidth);
}
