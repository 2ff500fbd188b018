// Their arguments belong to whoever adds and calls them.
type Callback = (...args: any[]) => unknown;

/** The name under which listeners to everything are; no event has it. */
export const ANY = '';

/** An event for those who come late. */
export type Kept = readonly [data: unknown, meta: { readonly event: string }];

/** Listeners by the name of what they listen to. */
export interface Listeners {
  /**
   * Adds a listener, once however often it is added; `run` is called in its place. A new one gets
   * what is kept, a moment later. Returns what removes it.
   */
  add(name: string, listener: Callback, run?: Callback): () => void;
  remove(name: string, listener: Callback): void;
  /** Those of these names, name after name. */
  of(...names: string[]): Callback[];
  /** Calls listeners. Who is added by one of them does not belong to them, and gets what is kept. */
  call(runs: Callback[], ...args: unknown[]): void;
}

/**
 * Listeners are called in the order they were added; one added or removed by a listener counts from
 * the next event on. One that throws or rejects does not stop the others: `report` gets its error.
 * `kept` tells what is kept now, each event an object of its own.
 */
export function makeListeners(report: (error: unknown) => void, kept: () => Kept[]): Listeners {
  const byName = new Map<string, Map<Callback, Callback>>();
  const remove = (name: string, listener: Callback) => void byName.get(name)?.delete(listener);
  const call = (runs: Callback[], ...args: unknown[]) => {
    // What an async function throws its promise takes in.
    for (const run of runs) (async () => run(...args))().catch(report);
  };
  return {
    call,
    add(name, listener, run = listener) {
      const listeners = byName.get(name) ?? new Map<Callback, Callback>();
      const missed = listeners.has(listener) ? [] : kept();
      byName.set(name, listeners.set(listener, run));
      queueMicrotask(() => {
        for (const event of missed) {
          const [data, meta] = event;
          const concerns = name === ANY || name === meta.event;
          // Of what was replaced meanwhile, the listener has got the newer one.
          if (concerns && listeners.get(listener) === run && kept().includes(event))
            call([run], data, { ...meta, retained: true });
        }
      });
      return () => remove(name, listener);
    },
    remove,
    of: (...names) => names.flatMap((name) => [...(byName.get(name)?.values() ?? [])]),
  };
}
