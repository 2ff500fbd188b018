// Their arguments belong to whoever adds and calls them.
type Callback = (...args: any[]) => unknown;

/** Listeners by the name of what they listen to. */
export interface Listeners {
  /**
   * Adds a listener, once however often it is added; `run` is called in its place. Returns what
   * removes it.
   */
  add(name: string, listener: Callback, run?: Callback): () => void;
  remove(name: string, listener: Callback): void;
  notify(name: string, ...args: unknown[]): void;
}

/**
 * Listeners are called in the order they were added; one added or removed by a listener counts from
 * the next event on. One that throws or rejects does not stop the others: `report` gets its error.
 */
export function makeListeners(report: (error: unknown) => void): Listeners {
  const byName = new Map<string, Map<Callback, Callback>>();
  const remove = (name: string, listener: Callback) => void byName.get(name)?.delete(listener);
  return {
    add(name, listener, run = listener) {
      const listeners = byName.get(name) ?? new Map();
      byName.set(name, listeners.set(listener, run));
      return () => remove(name, listener);
    },
    remove,
    notify(name, ...args) {
      for (const run of [...(byName.get(name)?.values() ?? [])]) {
        // A promise takes in what is thrown as well.
        new Promise((resolve) => resolve(run(...args))).catch(report);
      }
    },
  };
}
