import { BACKOFF_CAP } from './backoff.js';
import type { ZonecastClient } from './client.js';
import { makeRoom, type Room } from './room.js';
import { openStore, type Store, type WebStorage } from './store.js';
import { assertValid, matches } from './text.js';
import type { Transport } from './transport.js';

/**
 * What the client needs of a WebSocket: the browser's, Node's and that of the package ws have it.
 */
export interface WebSocketLike {
  send(data: string): void;
  close(code?: number, reason?: string): void;
  /** Ends it without waiting for the other side; the package ws has it. */
  terminate?(): void;
  // The implementations' event types differ from one another, and nothing narrower accepts all of
  // them.
  onmessage: any;
  onerror: any;
  onclose: any;
}

export type WebSocketConstructor = new (url: string, protocols?: string[]) => WebSocketLike;

export interface ClientOptions {
  /**
   * The server, like "https://zonecast.example.com" or "http://localhost:3001"; http, https, ws or
   * wss.
   */
  url: string | URL;
  /** The warehouse whose room is joined on connecting. */
  warehouse?: string;
  /** The zone of the warehouse whose room is joined as well. */
  zone?: string;
  /** Who this is, for the operators' dashboard. */
  userId?: string;
  /**
   * The token, or a function that gets one. The function is called before each attempt to connect,
   * and again before the token expires if it is a JSON Web Token with exp. When it fails, or its
   * token is refused, the client tries again, unless it fails with a ZonecastError of the code
   * unauthenticated or fresh tokens are refused three times in a row.
   */
  token?: string | (() => string | Promise<string>);
  /** Whether to come back when the connection ends or can't be made. Default true. */
  autoReconnect?: boolean;
  /**
   * How often to try again before giving up, from the last good connection. Tries while the browser
   * is offline don't count. At least 0, default Infinity: the client never gives up.
   */
  maxAttempts?: number;
  /**
   * The ceiling of the wait before the first attempt in milliseconds; it grows from there. At least
   * 1, default 1000.
   */
  backoffBase?: number;
  /** The highest ceiling in milliseconds. At least 1, default 30000. */
  backoffCap?: number;
  /**
   * How long to wait for a connection and its first frame before the next transport is tried, and
   * as long for the token function before. In milliseconds. At least 1, default 5000.
   */
  connectTimeout?: number;
  /**
   * How long publish and echo try to get their answer, in milliseconds. At least 1, default 10000.
   */
  requestTimeout?: number;
  /**
   * How many requests to publish and echo may be without an answer, those that wait for a connection
   * included; more are refused with the code overflow. At least 1, default 1000.
   */
  maxPending?: number;
  /** What to try, in this order. Default [webSocket, longPolling, serverSentEvents]. */
  transports?: readonly Transport[];
  /**
   * How often to look whether the first transport works again while another one is used, in
   * milliseconds, give or take half. At least 50, default 60000.
   */
  probeInterval?: number;
  /** The WebSocket to use where there is no global one, like that of the package ws in Node 20. */
  WebSocket?: WebSocketConstructor;
  /**
   * Reads the server's JSON, in place of JSON.parse: for integers above 2^53, which that rounds.
   * Like JSON.parse it must give numbers for those that fit, and throw for nothing else than what
   * is no JSON.
   */
  parse?: (text: string) => unknown;
  /**
   * What lasts as long as the session: keeps the transport that delivered, and offsets. Default
   * sessionStorage, if there is one.
   */
  storage?: WebStorage;
  /**
   * Whether to keep the offsets in the storage, so that a page that is loaded again resumes.
   * Default false.
   */
  keepOffsets?: boolean;
  /** Gets the new client, to tell what it does: traceClient of @zonecast/client/debug. */
  debug?: ((client: ZonecastClient<any>) => unknown) | undefined;
  /**
   * Gets the errors that reach nobody else: those of listeners, of promises that nobody awaits, of
   * frames that make no sense, and the server's error frames. Default console.error.
   */
  onError?: (error: unknown) => void;
}

/** The options, checked and complete. Times are in milliseconds. */
export interface Settings {
  /**
   * The server by http or https, without the path of a transport and without parameters of ours.
   */
  readonly base: URL;
  /** The rooms to join on connecting: none, the warehouse's, or the warehouse's and the zone's. */
  readonly initialRooms: Room[];
  readonly userId: string | undefined;
  readonly token: ClientOptions['token'];
  readonly autoReconnect: boolean;
  readonly maxAttempts: number;
  readonly backoffBase: number;
  readonly backoffCap: number;
  readonly connectTimeout: number;
  readonly requestTimeout: number;
  readonly maxPending: number;
  readonly probeInterval: number;
  readonly transports: readonly Transport[];
  readonly WebSocket: WebSocketConstructor | undefined;
  readonly parse: (text: string) => unknown;
  readonly store: Store;
  readonly keepOffsets: boolean;
  readonly onError: (error: unknown) => void;
  readonly debug: ClientOptions['debug'];
}

/** In milliseconds. */
export const LEAST_REQUEST_TIMEOUT = 1;

/** The defaults of numbers and switches, and the least that a number may be. */
const VALUES: Record<string, readonly [byDefault: number | boolean, least?: number]> = {
  autoReconnect: [true],
  maxAttempts: [Infinity],
  backoffBase: [1000, 1],
  backoffCap: [BACKOFF_CAP, 1],
  connectTimeout: [5000, 1],
  requestTimeout: [10_000, LEAST_REQUEST_TIMEOUT],
  maxPending: [1000, 1],
  probeInterval: [60_000, 50],
  keepOffsets: [false],
};

/** What the others may be, by what typeof says, if they are there at all. */
const TYPES: Record<string, string> = {
  userId: 'string',
  token: 'string or function',
  storage: 'object',
  parse: 'function',
  onError: 'function',
  debug: 'function',
  WebSocket: 'function',
};

/**
 * Checks the options and fills in the defaults. Throws a ZonecastError that says what to change.
 */
export function readOptions(options: ClientOptions, fallbackOrder?: readonly Transport[]): Settings {
  const { url, warehouse, zone, transports = fallbackOrder, ...others } = options ?? {};
  const { storage, parse, onError, WebSocket } = others;
  const base = readUrl(url);
  const initialRooms = zone === undefined && warehouse === undefined ? [] : [makeRoom(warehouse)];
  if (zone !== undefined) initialRooms.push(makeRoom(warehouse, zone));
  const check = (valid: unknown, name: string, value: unknown, expected: string) =>
    assertValid(valid, 'invalid_option', name, value, expected);
  check(Array.isArray(transports) && transports[0] && [...transports].every((it) => it?.dial), 'transports', transports, 'like [webSocket, longPolling]');
  for (const [name, value] of Object.entries(others)) {
    const type = TYPES[name];
    const valid = VALUES[name] || value == null || type?.includes(typeof value);
    check(valid, name, value, type ? `of type ${type}` : 'left out');
  }
  const values: Record<string, unknown> = {};
  for (const name in VALUES) values[name] = readValue((others as typeof values)[name], name, ...(VALUES[name] as [number]));
  return {
    ...(others as object as Settings),
    ...values,
    base,
    initialRooms,
    transports: transports as readonly Transport[],
    WebSocket: WebSocket ?? (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket,
    parse: parse ?? JSON.parse,
    store: openStore(`zonecast ${base} `, storage),
    onError(error: unknown) {
      try {
        (onError ?? console.error)(error);
      } catch (second) {
        console.error(error, second);
      }
    },
  };
}

/** Reads a number, or what is true or false, that may be left out. */
export function readValue<T extends number | boolean>(given: unknown, name: string, byDefault: T, least = 0): T {
  const value = (given ?? byDefault) as T;
  const type = typeof byDefault;
  const expected = type === 'boolean' ? 'true or false' : `a number of at least ${least}, like ${byDefault}`;
  // Both are at least 0, true and false.
  assertValid(typeof value === type && (value as number) >= least, 'invalid_option', name, value, expected);
  return value;
}

/** Of a URL that names a transport's path takes what is before it. */
function readUrl(value: unknown): URL {
  let base: URL | undefined;
  try {
    const text = String(value).replace(/#.*$/, '').replace(/^ws/, 'http');
    base = new URL(text.replace(/\/(ws|sse|poll)(?=\?|$)/, '/'));
  } catch {}
  assertValid(matches(base?.href, /^https?:/), 'invalid_option', 'url', value, 'like "http://localhost:3001"');
  return base as URL;
}
