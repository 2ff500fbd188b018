/**
 * A promise whose rejection never becomes an unhandled rejection: when nobody looked at its outcome by then, `report` gets
 * the error instead. So `client.subscribe('w')` without `await` is safe, and still not silent.
 */
export function watch<T>(outcome: Promise<T>, report: (error: unknown) => void): Promise<T> {
  let watched = false;
  const { then } = outcome;
  outcome.catch(async (error) => {
    await undefined; // `await` looks a moment later
    if (!watched) report(error);
  });
  return Object.assign(outcome, {
    // `await` calls the then() of promises whose constructor is another one. What that returns is a plain promise, the caller's.
    constructor: undefined,
    then(...handlers: never) {
      watched = true;
      return then.apply(outcome, handlers);
    },
  }) as Promise<T>;
}

/** Those who wait for the same thing. */
export interface Waiters<T> {
  wait(): Promise<T>;
  /** It is there, or with an error it won't come. Returns how many waited. */
  settle(value?: T, error?: unknown): number;
}

export function makeWaiters<T>(): Waiters<T> {
  const waiting: [resolve: (value: T) => void, reject: (error: unknown) => void][] = [];
  return {
    wait: () => new Promise((...ends) => waiting.push(ends)),
    settle: (value, error) =>
      waiting.splice(0).map(([resolve, reject]) => (error ? reject(error) : resolve(value as T))).length,
  };
}
