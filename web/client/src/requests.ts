import type { Connection } from './connection.js';
import { isTransient, ZonecastError } from './errors.js';
import { makeWaiters, type Running } from './promise.js';
import { startTimer, type Timer } from './timer.js';

/**
 * Requests without an answer yet. They outlive connections: what may have been lost with one is
 * sent again on the next, until its timeout. So only requests that do no harm twice may be sent.
 *
 *     request() ─▶ the connection's queue ─▶ ack                              resolves
 *                    ▲            │      └─▶ permanent error, or timeout      rejects
 *     use() ─────────┘            └────────▶ transient error                  stays in the queue
 */
export interface Requests {
  /** How many there are. */
  count(): number;
  /**
   * `timeout` is in milliseconds, all tries together. Who waits for its turn has it from the last
   * time on that the server took another one.
   */
  request(event: string, data: unknown, timeout: number): Running<unknown>;
  /** There is a new connection. */
  use(connection: Connection): void;
  /** Refuses all of them. */
  rejectAll(error: ZonecastError): void;
}

export function makeRequests(): Requests {
  /** What sends each of them, and what refuses it, in the order in which they were asked for. */
  const pending = new Map<() => void, (error: ZonecastError) => void>();
  /** The newest connection. One that has ended sends nothing. */
  let connection: Connection | undefined;
  /** When the server took one. */
  let takenAt = 0;

  return {
    count: () => pending.size,

    request(event, data, timeout) {
      const { wait, settle } = makeWaiters<unknown>();
      const outcome = wait();
      const askedAt = performance.now();
      let sentAt: number | undefined;
      let timer: Timer;
      let forget: (() => void) | void;
      let cause: ZonecastError | undefined;
      const end = (value?: unknown, error?: ZonecastError) => {
        clearTimeout(timer);
        pending.delete(send);
        settle(value, error);
        forget?.();
      };
      const fail = (error: ZonecastError) => end(undefined, error);
      const send = () => {
        forget = connection?.request(
          event,
          data,
          (error, data) => {
            if (!error) takenAt = performance.now();
            else if (isTransient(error)) return void (cause = error);
            end(data, error);
          },
          () => (sentAt ??= performance.now()),
        );
      };
      const watch = () => {
        const left = (sentAt ?? Math.max(askedAt, takenAt)) + timeout - performance.now();
        if (left > 0) timer = startTimer(left, watch);
        else fail(new ZonecastError('timeout', `no answer to ${event} within ${timeout} ms`, { cause }));
      };
      pending.set(send, fail);
      watch();
      send();
      return [outcome, end];
    },

    use(newest) {
      connection = newest;
      for (const send of pending.keys()) send();
    },

    rejectAll(error) {
      for (const fail of pending.values()) fail(error);
    },
  };
}
