/** The longest wait between two attempts, before jitter, unless the options say otherwise. In milliseconds. */
export const BACKOFF_CAP = 30_000;

/**
 * How long to wait before attempt 1, 2, 3 …, in milliseconds: the ceiling doubles from `base` up to `cap`, then the wait is
 * drawn from all of [0, ceiling). Jitter after the cap, so that clients that have long been waiting stay spread out.
 */
export function backoff(attempt: number, base: number, cap: number): number {
  return Math.random() * Math.min(cap, base * 2 ** (attempt - 1));
}
