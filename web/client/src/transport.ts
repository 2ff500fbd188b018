import type { ErrorDetails } from './errors.js';
import type { WebSocketConstructor } from './options.js';

/**
 * A way to the server: it carries frames as text and knows nothing of what they say. The client tries one after the other until
 * one delivers. There are webSocket, longPolling and serverSentEvents; who imports only one has only one in the bundle.
 */
export interface Transport {
  readonly name: string;
  /**
   * Dials. What goes wrong is a rejection, or told to the line. The line hears nothing before the link is there, and nothing
   * after it has hung up.
   * @internal
   */
  dial(line: Line): Promise<Link>;
}

/** What a transport asks of the connection, and tells it. @internal */
export interface Line {
  readonly Socket: WebSocketConstructor | undefined;
  /** The address of a path, like "/ws", with a query that names the rooms wanted now and where to resume in each, and `extra`. */
  address(path: string, extra?: string): string;
  /** The token of now, if one is needed. */
  credential(): Promise<string | undefined>;
  /** A frame came, as text or as what its JSON says. */
  frame(frame: unknown): void;
  /** The connection is over, or there was none. */
  lost(problem: string, details?: ErrorDetails): void;
  /** The server refused a request. If it was for rooms that we can do without, the connection goes on; else it is over. */
  refused(problem: string, details: ErrorDetails): void;
  /** Resolves after some milliseconds, and never once the connection is over. */
  pause(ms: number): Promise<void>;
}

/** An open transport. @internal */
export interface Link {
  /** Sends a frame; the answer comes over the line. */
  write(text: string, id: number): void;
  /**
   * Asks again with the rooms and the token of now, where these belong to a request. Without it there are frames to
   * subscribe, unsubscribe and authenticate.
   */
  renew?(): void;
  /** `hard` does not wait for the other side, which may be dead. */
  hangUp(hard: boolean): void;
}
