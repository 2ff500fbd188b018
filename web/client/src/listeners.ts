// Their arguments belong to whoever adds and calls them.
type Call = (...args: any[]) => unknown;

/** Who listens to what. */
export interface Listeners {
  /** Adds a listener, once however often it is added. Returns what removes it. */
  listen(name: string, listener: Call, run?: Call): () => void;
  unlisten(name: string, listener: Call): void;
  tell(name: string, ...args: unknown[]): void;
}

/**
 * Listeners are called in the order they were added; one added or removed by a listener counts from the next event on. One that
 * throws or rejects does not stop the others: `report` gets its error.
 */
export function makeListeners(report: (error: unknown) => void): Listeners {
  const sets = new Map<string, Map<Call, Call>>();
  const unlisten = (name: string, listener: Call) => void sets.get(name)?.delete(listener);
  return {
    listen(name, listener, run = listener) {
      const set = sets.get(name) ?? new Map();
      sets.set(name, set.set(listener, run));
      return () => unlisten(name, listener);
    },
    unlisten,
    tell(name, ...args) {
      for (const run of [...(sets.get(name)?.values() ?? [])]) {
        // A promise takes in what is thrown as well.
        new Promise((resolve) => resolve(run(...args))).catch(report);
      }
    },
  };
}
