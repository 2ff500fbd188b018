import type { ErrorDetails } from './errors.js';
import type { WebSocketConstructor } from './options.js';

/**
 * A way to the server: it carries frames as text and knows nothing of what they say. The client
 * tries one after the other until one delivers. There are webSocket, longPolling and
 * serverSentEvents; who imports only one has only one in the bundle.
 */
export interface Transport {
  readonly name: string;
  /**
   * Dials. What goes wrong is a rejection, or told to the host. The host hears nothing before the
   * promise resolved, and ignores what it hears after close() or abort().
   * @internal
   */
  dial(host: TransportHost): Promise<OpenTransport>;
}

/** What a transport gets from the connection it works for, and tells it. @internal */
export interface TransportHost {
  readonly WebSocket: WebSocketConstructor | undefined;
  /** Reads JSON that holds what somebody published. */
  readonly parse: (text: string) => unknown;
  /**
   * The URL of a path, like "/ws", with a query that names the rooms wanted now and where to resume
   * in each, and `extra`. `subscribesByFrame`: rooms can be joined by frames later.
   */
  url(path: string, query: { extra?: string; subscribesByFrame: boolean }): string;
  /** The current token, if one is needed. */
  token(): Promise<string | undefined>;
  /**
   * A frame came, as text or as what its JSON says. `apart`: by another way than the one that reads,
   * of which it proves nothing.
   */
  received(frame: unknown, apart?: boolean): void;
  /** The connection is over, or could not be made. */
  lost(problem: string, details?: ErrorDetails): void;
  /**
   * The server refused a request. If that was for good, and for a room that the client can do
   * without, the connection goes on; else it is over.
   */
  refused(problem: string, details: ErrorDetails): void;
  /** Resolves after some milliseconds, and never once the connection is over. */
  pause(ms: number): Promise<void>;
}

/** A transport that is connected. @internal */
export interface OpenTransport {
  /** Sends a frame; its answer is received by the host. */
  send(text: string, id: number): void;
  /**
   * Repeats the request that reads, with the rooms and the token of now. Only where these belong to
   * a request: without it there are frames to subscribe, unsubscribe and authenticate.
   */
  repeat?(): void;
  /** Ends it by the closing handshake, where there is one. */
  close(): void;
  /** Ends it without waiting for the other side, which may be dead. */
  abort(): void;
}
