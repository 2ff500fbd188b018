import type { Connection } from './connection.js';
import { ZonecastError } from './errors.js';
import { later } from './timer.js';

/**
 * What was asked and is not answered. It outlives connections: what may have been lost with one is asked again on the next,
 * until its time is over. So only what does no harm twice may be asked.
 *
 *     ask() ─▶ send() ─▶ ack                             resolves
 *                │  └──▶ error that stays, or timeout     rejects
 *                └─────▶ error that passes                send() again, on this connection or the next
 */
export interface Requests {
  ask(connection: Connection | undefined, event: string, data: unknown, timeout: number): Promise<unknown>;
  /** A connection stands. */
  sendAll(connection: Connection): void;
  /** There is no connection, and none to come. */
  failAll(error: ZonecastError): void;
}

export function makeRequests(): Requests {
  const open = new Map<(connection: Connection) => void, (error: ZonecastError) => void>();
  return {
    ask: (connection, event, data, timeout) =>
      new Promise((resolve, reject) => {
        const settle = <T>(outcome: (value: T) => void) => (value: T) => {
          clearTimeout(timer);
          if (open.delete(send)) outcome(value);
        };
        const fail = settle(reject);
        const send = (on: Connection) => {
          if (open.has(send)) on.request(event, data, settle(resolve), (error) => on.retry(error, () => send(on)) || fail(error));
        };
        const timer = later(timeout, () => fail(new ZonecastError('timeout', `no answer to ${event} within ${timeout} ms`)));
        open.set(send, fail);
        if (connection) send(connection);
      }),
    sendAll(connection) {
      for (const send of open.keys()) send(connection);
    },
    failAll(error) {
      for (const fail of open.values()) fail(error);
    },
  };
}
