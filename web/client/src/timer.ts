export type Timer = ReturnType<typeof setTimeout>;

/** setTimeout fires at once above 31 bits: this one then fires after 24.8 days. */
export function later(ms: number, run: () => void): Timer {
  return setTimeout(run, Math.min(ms, 2 ** 31 - 1));
}
