/** How many frames a connection takes: so many at once, and `refill` more each second. */
export interface Rate {
  tokens: number;
  refill: number;
}

/** That of a server that does not tell it, as the protocol has it. */
export const DEFAULT_RATE: Rate = { tokens: 100, refill: 10 };

/**
 * The share of the refill that is used, each millisecond of a second: what is sent at a steady pace
 * may arrive bunched together.
 */
const SHARE = 0.8 / 1000;

/**
 * Makes a token bucket. Each call takes a token and returns 0, or returns in how many milliseconds
 * there will be one. A rate of 0 tokens is no limit.
 */
export function makeBucket({ tokens, refill }: Rate): () => number {
  const perMs = refill * SHARE;
  const most = tokens || Infinity;
  let left = most;
  let since = performance.now();
  return () => {
    const now = performance.now();
    left = Math.min(most, left + (now - since) * perMs);
    since = now;
    return left < 1 ? (1 - left) / perMs : (left--, 0);
  };
}
