import { BACKOFF_CAP } from './backoff.js';
import { makeRoom, type Room } from './room.js';
import { openStore, type Store, type WebStorage } from './store.js';
import { must } from './text.js';
import type { Transport } from './transport.js';

/** What the client needs of a WebSocket: the browser's, Node's and that of the package ws have it. */
export interface WebSocketLike {
  send(data: string): void;
  close(code?: number, reason?: string): void;
  /** Ends it without waiting for the other side; the package ws has it. */
  terminate?(): void;
  // The implementations' event types differ from one another, and nothing narrower accepts all of them.
  onmessage: any;
  onerror: any;
  onclose: any;
}

export type WebSocketConstructor = new (url: string, protocols?: string[]) => WebSocketLike;

export interface ClientOptions {
  /** The server, like "https://zonecast.example.com" or "http://localhost:3001"; http, https, ws or wss. */
  url: string | URL;
  /** The warehouse whose room is joined on connecting. */
  warehouse?: string;
  /** The zone of the warehouse whose room is joined as well. */
  zone?: string;
  /** Who this is, for the operators' dashboard. */
  userId?: string;
  /**
   * The token, or a function that gets one. The function is called before each attempt to connect, and again before the token
   * expires if it is a JSON Web Token with exp.
   */
  token?: string | (() => string | Promise<string>);
  /** Whether to come back when the connection ends or can't be made. Default true. */
  autoReconnect?: boolean;
  /** How often to try again before giving up; Infinity for never. It counts from the last good connection. Default 10. */
  maxAttempts?: number;
  /** The ceiling of the wait before the first attempt in milliseconds; it grows from there. Default 1000. */
  backoffBase?: number;
  /** The highest ceiling in milliseconds. Default 30000. */
  backoffCap?: number;
  /** How long to wait for a connection and its first frame before the next transport is tried, in milliseconds. Default 5000. */
  connectTimeout?: number;
  /** How long publish and echo try to get their answer, in milliseconds. Default 10000. */
  requestTimeout?: number;
  /** What to try, in this order. Default [webSocket, longPolling, serverSentEvents]. */
  transports?: readonly Transport[];
  /** How often to look whether the first transport works again while another one is used, in milliseconds. Default 60000. */
  probeInterval?: number;
  /** The WebSocket to use where there is no global one, like that of the package ws in Node 20. */
  WebSocket?: WebSocketConstructor;
  /** What lasts as long as the session: keeps the transport that delivered, and offsets. Default sessionStorage, if there is one. */
  storage?: WebStorage;
  /** Whether to keep the offsets in the storage, so that a page that is loaded again resumes. Default false. */
  keepOffsets?: boolean;
  /**
   * Gets the errors that reach nobody else: those of listeners, of promises that nobody awaits, of frames that make no sense,
   * and the server's error frames without a listener. Default console.error.
   */
  onError?: (error: unknown) => void;
}

/** What an option is when it is left out. */
const DEFAULTS = {
  autoReconnect: true,
  maxAttempts: 10,
  backoffBase: 1000,
  backoffCap: BACKOFF_CAP,
  connectTimeout: 5000,
  requestTimeout: 10_000,
  probeInterval: 60_000,
  keepOffsets: false,
};

/** The options, checked and complete. */
export interface Settings extends Readonly<typeof DEFAULTS> {
  /** The server by http or https, without the path of a transport and without parameters of ours. */
  readonly base: URL;
  /** The rooms to join on connecting: none, the warehouse's, or the warehouse's and the zone's. */
  readonly ownRooms: Room[];
  readonly userId: string | undefined;
  readonly token: ClientOptions['token'];
  readonly transports: readonly Transport[];
  readonly Socket: WebSocketConstructor | undefined;
  readonly store: Store;
  readonly onError: (error: unknown) => void;
}

/** Checks the options and fills in the defaults. Throws a ZonecastError that says what to change. */
export function readOptions(options: ClientOptions, byDefault: readonly Transport[] = []): Settings {
  const { url, warehouse, zone, userId, token, transports = byDefault, storage, onError = console.error } = options ?? {};
  const settings: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(DEFAULTS)) settings[name] = readLike(value, name, options?.[name as keyof ClientOptions]);
  const base = readUrl(url);
  const ownRooms = zone === undefined && warehouse === undefined ? [] : [makeRoom(warehouse)];
  if (zone !== undefined) ownRooms.push(makeRoom(warehouse, zone));
  return {
    ...(settings as typeof DEFAULTS),
    base,
    ownRooms,
    userId,
    token,
    transports,
    Socket: options.WebSocket ?? (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket,
    store: openStore(`zonecast ${base} `, storage),
    onError(error) {
      try {
        onError(error);
      } catch (second) {
        console.error(error, second);
      }
    },
  };
}

function readUrl(url: unknown): URL {
  let base: URL | undefined;
  try {
    base = new URL(`${url}`.replace(/#.*/, '').replace(/^ws/, 'http').replace(/\/(ws|sse|poll)(?=\?|$)/, '/'));
  } catch {}
  must(!!base && /^http/.test(base.protocol), 'invalid_option', 'url', url, 'like "http://localhost:3001"');
  return base;
}

/** Reads a setting that may be left out: true or false, or a number of at least a thousandth of the usual one. */
export function readLike<T>(usual: T, name: string, given: unknown): T {
  const value = given ?? usual;
  const least = Math.floor((usual as number) / 1000);
  must(typeof value === typeof usual && (value as number) >= least, 'invalid_option', name, value, `a ${typeof usual} like ${usual}`);
  return value as T;
}
