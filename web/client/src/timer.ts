export type Timer = ReturnType<typeof setTimeout>;

/** setTimeout fires at once above 31 bits of milliseconds: this one then fires after 24.8 days. */
export function startTimer(ms: number, run: () => void): Timer {
  return setTimeout(run, Math.min(ms, 2 ** 31 - 1));
}
