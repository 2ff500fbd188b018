import type { Connection } from './connection.js';
import { isTransient, ZonecastError } from './errors.js';
import { startTimer } from './timer.js';

/**
 * Requests without an answer yet. They outlive connections: what may have been lost with one is
 * sent again on the next, until its timeout. So only requests that do no harm twice may be sent.
 *
 *     request() ─▶ send() ─▶ ack                              resolves
 *                    │  └──▶ permanent error, or timeout      rejects
 *                    └─────▶ transient error ─▶ held          send() again
 *
 * What is held, and what is asked for meanwhile, goes out one by one in the order in which it was
 * asked for: a burst over the server's limits is not shuffled by them.
 */
export interface Requests {
  /** How many there are. */
  count(): number;
  /** `timeout` is in milliseconds, all tries together. */
  request(connection: Connection | undefined, event: string, data: unknown, timeout: number): Promise<unknown>;
  /** There is a new connection. */
  resendAll(connection: Connection): void;
  /** Refuses all of them. */
  rejectAll(error: ZonecastError): void;
}

interface Request {
  send(connection: Connection): void;
  fail(error: ZonecastError): void;
}

export function makeRequests(): Requests {
  /** In the order in which they were asked for. */
  const pending = new Set<Request>();
  const held = new Set<Request>();
  /** Of those that are held: the one that is under way. */
  let underWay: Request | undefined;
  /** Whether it waits before the next one goes out. */
  let waiting = false;

  const sendHeld = (on: Connection) => {
    if (underWay || waiting) return;
    underWay = [...pending].find((request) => held.has(request));
    underWay?.send(on);
  };

  /** It is answered, or held for a while: the next one's turn. */
  const passOn = (request: Request, on: Connection) => {
    if (underWay === request) underWay = undefined;
    sendHeld(on);
  };

  return {
    count: () => pending.size,

    request: (connection, event, data, timeout) =>
      new Promise((resolve, reject) => {
        const settle = <T>(outcome: (value: T) => void) => (value: T) => {
          clearTimeout(timer);
          held.delete(request);
          if (pending.delete(request)) outcome(value);
        };
        const ack = settle(resolve);
        const request: Request = {
          fail: settle(reject),
          send: (on) =>
            on.request(
              event,
              data,
              (answer) => {
                ack(answer);
                passOn(request, on);
              },
              (error) => {
                if (!isTransient(error)) request.fail(error);
                else if (pending.has(request)) {
                  held.add(request);
                  waiting ||= on.retryTransient(error, () => {
                    waiting = false;
                    sendHeld(on);
                  });
                }
                passOn(request, on);
              },
            ),
        };
        const timer = startTimer(timeout, () => {
          request.fail(new ZonecastError('timeout', `no answer to ${event} within ${timeout} ms`));
          if (connection) passOn(request, connection);
        });
        pending.add(request);
        if (!connection) return;
        if (!held.size) return request.send(connection);
        held.add(request);
        sendHeld(connection);
      }),

    resendAll(connection) {
      held.clear();
      underWay = undefined;
      waiting = false;
      for (const request of pending) request.send(connection);
    },

    rejectAll(error) {
      for (const { fail } of pending) fail(error);
    },
  };
}
