import type { ZonecastError } from './errors.js';
import type { Connected } from './events.js';

/**
 * What the client is doing. Each state is an object of its own that never changes.
 *
 *     idle ─▶ connecting ─▶ connected ─▶ waiting ─▶ recovering ─▶ connected …
 *                  └─▶ waiting | failed               └─▶ waiting | failed
 *     any ─▶ closed, by disconnect()
 */
export type State =
  /** connect() was not called yet. */
  | { readonly name: 'idle' }
  /**
   * There was no connection since connect(). attempt is 0 for the first try, then 1, 2, 3 …
   */
  | { readonly name: 'connecting'; readonly attempt: number }
  /** transport is "websocket", "poll" or "sse". */
  | { readonly name: 'connected'; readonly info: Connected; readonly transport: string }
  /** Like connecting, after a connection that was lost. */
  | { readonly name: 'recovering'; readonly attempt: number }
  /**
   * `error` happened, and the next try, which is number `attempt`, is at `retryAt`, in milliseconds
   * since 1970.
   */
  | { readonly name: 'waiting'; readonly attempt: number; readonly retryAt: number; readonly error: ZonecastError }
  /** There is no further try until connect() is called. */
  | { readonly name: 'failed'; readonly error: ZonecastError }
  /** disconnect() was called. */
  | { readonly name: 'closed' };

/** Gets each state that the client enters. */
export type StateListener = (state: State) => unknown;

/** The name under which listeners to states are; no event has it. */
export const STATE = ' ';
