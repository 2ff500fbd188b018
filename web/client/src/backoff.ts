/** The longest wait between two attempts, before jitter, unless the options say otherwise. In milliseconds. */
export const BACKOFF_CAP = 30_000;

/** From the second attempt on this many share a ceiling: whoever comes back from a network that was away for seconds. */
const PATIENCE = 4;

/**
 * How long to wait before attempt 1, 2, 3 …, in milliseconds: the ceiling doubles from `base` up to `cap`, pausing on its
 * second step for PATIENCE attempts, then the wait is drawn from all of [0, ceiling). Jitter after the cap, so that clients
 * that have long been waiting stay spread out.
 *
 * With 1 s and 30 s the ceilings are 1 2 2 2 2 4 8 16 30 30 s. Without the pause, a wait of up to 4 s would often have begun
 * when a network returns after 2 s.
 */
export function backoff(attempt: number, base: number, cap: number): number {
  const steps = attempt - 1 - Math.min(PATIENCE - 1, Math.max(0, attempt - 2));
  return Math.random() * Math.min(cap, base * 2 ** steps);
}
