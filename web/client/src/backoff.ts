/** The longest wait between two attempts, before jitter, by default. In milliseconds. */
export const BACKOFF_CAP = 30_000;

/**
 * How long to wait before attempt 1, 2, 3 …, in milliseconds. The ceiling grows from `base` up to
 * `cap`, then the wait is drawn from all of [0, ceiling): jitter after the cap, so that clients
 * that have long been waiting stay spread out.
 *
 * With 1 s and 30 s the ceilings are 1, six times 1.25, then 4 8 16 30 s. If they doubled from the
 * start, a wait of up to 4 s would often have begun when a network comes back after 2 s.
 */
export function backoff(attempt: number, base: number, cap: number): number {
  const factor = attempt < 2 ? 1 : attempt < 8 ? 1.25 : 2 ** (attempt - 6);
  return Math.random() * Math.min(cap, base * factor);
}
