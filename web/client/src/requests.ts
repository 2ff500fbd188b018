import type { Connection } from './connection.js';
import { ZonecastError } from './errors.js';
import { startTimer } from './timer.js';

/**
 * Requests without an answer yet. They outlive connections: what may have been lost with one is
 * sent again on the next, until its timeout. So only requests that do no harm twice may be sent.
 *
 *     request() ─▶ send() ─▶ ack                              resolves
 *                    │  └──▶ permanent error, or timeout      rejects
 *                    └─────▶ transient error                  send() again
 */
export interface Requests {
  /** `timeout` is in milliseconds, all tries together. */
  request(connection: Connection | undefined, event: string, data: unknown, timeout: number): Promise<unknown>;
  /** There is a new connection. */
  resendAll(connection: Connection): void;
  /** There is no connection, and none to come. */
  rejectAll(error: ZonecastError): void;
}

export function makeRequests(): Requests {
  const pending = new Map<(connection: Connection) => void, (error: ZonecastError) => void>();
  return {
    request: (connection, event, data, timeout) =>
      new Promise((resolve, reject) => {
        const settle = <T>(outcome: (value: T) => void) => (value: T) => {
          clearTimeout(timer);
          if (pending.delete(send)) outcome(value);
        };
        const fail = settle(reject);
        const send = (on: Connection) => {
          if (!pending.has(send)) return;
          on.request(event, data, settle(resolve), (error) => {
            if (!on.retryTransient(error, () => send(on))) fail(error);
          });
        };
        const timer = startTimer(timeout, () =>
          fail(new ZonecastError('timeout', `no answer to ${event} within ${timeout} ms`)),
        );
        pending.set(send, fail);
        if (connection) send(connection);
      }),
    resendAll(connection) {
      for (const send of pending.keys()) send(connection);
    },
    rejectAll(error) {
      for (const fail of pending.values()) fail(error);
    },
  };
}
