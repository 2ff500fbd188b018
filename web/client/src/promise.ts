import { ZonecastError } from './errors.js';

/**
 * The promise, whose rejection never becomes an unhandled rejection: when nobody looked at its
 * outcome by then, `report` gets the error instead. So `client.subscribe('w')` without `await` is
 * safe, and still not silent.
 */
export function watch<T>(outcome: Promise<T>, report: (error: unknown) => void): Promise<T> {
  const then = outcome.then.bind(outcome);
  let isWatched = false;
  void then(undefined, async (error) => {
    await undefined; // `await` calls then() a moment later
    if (!isWatched) report(error);
  });
  // By hand, by catch() or finally(), or by `await`, which calls the then() of a promise only if its
  // constructor is another one (ECMAScript, PromiseResolve).
  return Object.assign(outcome, {
    constructor: undefined,
    then(...ends: Parameters<typeof then>) {
      isWatched = true;
      return then(...ends);
    },
  }) as unknown as Promise<T>;
}

/** What runs, and what ends it before it is done. */
export type Running<T> = readonly [outcome: Promise<T>, end?: (() => unknown) | undefined];

/**
 * Runs it unless the signal is aborted already; when that happens meanwhile, ends it and rejects.
 * What throws, rejects.
 */
export function abortable<T>(run: () => Running<T>, signal: AbortSignal | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    const fail = () => reject(new ZonecastError('aborted', 'aborted', { cause: (signal as AbortSignal).reason }));
    if (signal?.aborted) return fail();
    const [outcome, end] = run();
    const abort = () => {
      fail();
      end?.();
    };
    signal?.addEventListener('abort', abort);
    outcome.then(resolve, reject).then(() => signal?.removeEventListener('abort', abort));
  });
}

/** Callers that wait for the same thing. */
export interface Waiters<T> {
  wait(): Promise<T>;
  /**
   * Resolves all of them with the value, or with an error rejects them. Returns how many waited.
   */
  settle(value?: T, error?: unknown): number;
}

export function makeWaiters<T>(): Waiters<T> {
  const waiting: [resolve: (value: T) => void, reject: (error: unknown) => void][] = [];
  return {
    wait: () => new Promise((...ends) => waiting.push(ends)),
    settle(value, error) {
      const settled = waiting.splice(0);
      for (const [resolve, reject] of settled) error ? reject(error) : resolve(value as T);
      return settled.length;
    },
  };
}
