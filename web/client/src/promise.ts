/**
 * A promise that knows whether anybody looks at its outcome: then() was called, by hand, by catch()
 * or finally(), or by `await`, which calls then() of every subclass of Promise.
 */
class WatchedPromise<T> extends Promise<T> {
  /** What then() returns is a plain promise, and the caller's to look after. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  #watched = false;

  override then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.#watched = true;
    return super.then(onFulfilled, onRejected);
  }

  /** Gives a rejection to `report` when nobody has looked by then. It is handled in any case. */
  reportUnwatched(report: (error: unknown) => void): void {
    void super.then(undefined, async (error) => {
      await undefined; // `await` calls then() a moment later
      if (!this.#watched) report(error);
    });
  }
}

/**
 * A promise whose rejection never becomes an unhandled rejection: when nobody looked at its outcome
 * by then, `report` gets the error instead. So `client.subscribe('w')` without `await` is safe, and
 * still not silent.
 */
export function watch<T>(outcome: Promise<T>, report: (error: unknown) => void): Promise<T> {
  const watched = new WatchedPromise<T>((resolve, reject) => outcome.then(resolve, reject));
  watched.reportUnwatched(report);
  return watched;
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
