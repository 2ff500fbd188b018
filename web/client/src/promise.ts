/**
 * A promise whose rejection never becomes an unhandled rejection: when nobody looked at its outcome by then, `report` gets
 * the error instead. So `client.subscribe('w')` without `await` is safe, and still not silent.
 */
export class WatchedPromise<T> extends Promise<T> {
  #watched = false;

  // What then() and finally() return is a plain promise: from there on it is the caller's.
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  override then<A = T, B = never>(
    onfulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onrejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.#watched = true;
    return super.then(onfulfilled, onrejected);
  }

  static watch<T>(outcome: Promise<T>, report: (error: unknown) => void): Promise<T> {
    const watched = new WatchedPromise<T>((resolve, reject) => void outcome.then(resolve, reject));
    Promise.prototype.then.call(watched, undefined, (error) => {
      if (!watched.#watched) report(error);
    });
    return watched;
  }
}

/** A promise with its two ends. */
export class Deferred<T> {
  readonly promise: Promise<T>;
  resolve!: (value: T) => void;
  reject!: (error: unknown) => void;

  constructor() {
    this.promise = new Promise<T>((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // Each reader hears of a rejection; without readers it is nobody's.
    this.promise.catch(() => {});
  }
}
