import type { Connection } from './connection.js';
import { isTransient, ZonecastError } from './errors.js';
import type { Running } from './promise.js';
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
  request(event: string, data: unknown, timeout: number): Running<unknown>;
  /** There is a new connection. */
  resendAll(connection: Connection): void;
  /** Refuses all of them. */
  rejectAll(error: ZonecastError): void;
}

interface Request {
  send(): void;
  fail(error: ZonecastError): void;
}

export function makeRequests(): Requests {
  /** In the order in which they were asked for. */
  const pending = new Set<Request>();
  const held = new Set<Request>();
  /** The newest connection. One that has ended sends nothing. */
  let connection: Connection | undefined;
  /** Of those that are held: the one that is under way. */
  let underWay: Request | undefined;
  /** Whether it waits before the next one goes out. */
  let waiting: boolean | undefined;

  const sendHeld = () => {
    if (underWay || waiting) return;
    underWay = [...pending].find((request) => held.has(request));
    underWay?.send();
  };

  /** It is answered, given up, or held for a while: the next one's turn. */
  const passOn = (request: Request) => {
    if (underWay === request) underWay = undefined;
    sendHeld();
  };

  return {
    count: () => pending.size,

    request(event, data, timeout) {
      let giveUp!: (error?: ZonecastError) => void;
      const outcome = new Promise((resolve, reject) => {
        const settle = <T>(outcome: (value: T) => void) => (value: T) => {
          clearTimeout(timer);
          held.delete(request);
          if (pending.delete(request)) outcome(value);
          passOn(request);
        };
        giveUp = settle(reject) as typeof giveUp;
        const request: Request = {
          fail: giveUp,
          send: () =>
            connection?.request(event, data, settle(resolve), (error) => {
              if (!isTransient(error)) return giveUp(error);
              if (pending.has(request)) {
                held.add(request);
                waiting ||= connection?.retryTransient(error, () => {
                  waiting = false;
                  sendHeld();
                });
              }
              passOn(request);
            }),
        };
        const timer = startTimer(timeout, () =>
          giveUp(new ZonecastError('timeout', `no answer to ${event} within ${timeout} ms`)),
        );
        pending.add(request);
        if (!held.size) return request.send();
        held.add(request);
        sendHeld();
      });
      return [outcome, giveUp];
    },

    resendAll(newest) {
      connection = newest;
      held.clear();
      underWay = undefined;
      waiting = false;
      for (const request of pending) request.send();
    },

    rejectAll(error) {
      held.clear();
      for (const { fail } of pending) fail(error);
    },
  };
}
