import { ZonecastError } from './errors.js';

type Call<Args extends unknown[]> = (...args: Args) => unknown;

/**
 * Who listens to what. Listeners are called in the order they were added; one added or removed by a listener counts from the
 * next event on. One that throws or rejects does not stop the others: `report` gets its error.
 */
export class Listeners<Args extends unknown[]> {
  readonly #report: (error: unknown) => void;
  readonly #sets = new Map<string, Map<Call<Args>, Call<Args>>>();

  constructor(report: (error: unknown) => void) {
    this.#report = report;
  }

  /** Adds a listener, once however often it is added. Returns what removes it. */
  add(name: string, listener: Call<Args>, run: Call<Args> = listener): () => void {
    if (typeof listener !== 'function')
      throw new ZonecastError('invalid_option', `the listener is ${typeof listener}: give a function`);
    const set = this.#sets.get(name) ?? new Map<Call<Args>, Call<Args>>();
    this.#sets.set(name, set.set(listener, run));
    return () => this.remove(name, listener);
  }

  remove(name: string, listener: Call<Args>): void {
    const set = this.#sets.get(name);
    if (set?.delete(listener) && set.size === 0) this.#sets.delete(name);
  }

  has(name: string): boolean {
    return this.#sets.has(name);
  }

  call(name: string, ...args: Args): void {
    const set = this.#sets.get(name);
    if (!set) return;
    for (const run of [...set.values()]) {
      try {
        const result = run(...args);
        if (result instanceof Promise) result.catch(this.#report);
      } catch (error) {
        this.#report(error);
      }
    }
  }
}
