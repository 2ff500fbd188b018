/** How often a room usually speaks: the median of its last intervals. */
const INTERVALS = 9;
/** From how many intervals on they are usual. */
const ENOUGH = 3;
/** Silence is news after so many usual intervals, but neither at once nor only after hours. In milliseconds. */
const MISSED = 4;
const SOONEST = 10_000;
const LATEST = 30 * 60_000;
/** What comes within this time is one burst, in milliseconds. */
const BURST = 1_000;

export class UsualInterval {
  #last: number | undefined;
  #intervals: number[] = [];

  /** Notes an event that the server accepted at this time, in ms since 1970. */
  note(time: number): void {
    if (this.#last !== undefined) {
      if (time - this.#last < BURST) return;
      this.#intervals.push(time - this.#last);
      if (this.#intervals.length > INTERVALS) this.#intervals.shift();
    }
    this.#last = time;
  }

  /** For how long the figures count as live without news, in milliseconds; `unknown` while that can't be said yet. */
  staleAfter(unknown: number): number {
    if (this.#intervals.length < ENOUGH) return unknown;
    const usual = [...this.#intervals].sort((a, b) => a - b)[this.#intervals.length >> 1] ?? 0;
    return Math.min(LATEST, Math.max(SOONEST, MISSED * usual));
  }
}
