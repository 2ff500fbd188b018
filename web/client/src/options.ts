import { BACKOFF_CAP } from './backoff.js';
import { ZonecastError } from './errors.js';
import { makeRoom, type Room } from './room.js';

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
  /** The token, or a function that gets one; it is called before each attempt to connect. */
  token?: string | (() => string | Promise<string>);
  /** Whether to come back when the connection ends or can't be made. Default true. */
  autoReconnect?: boolean;
  /** How often to try again before giving up; Infinity for never. It counts from the last good connection. Default 10. */
  maxAttempts?: number;
  /** The ceiling of the wait before the first attempt in milliseconds; it doubles with each. Default 1000. */
  backoffBase?: number;
  /** The highest ceiling in milliseconds. Default 30000. */
  backoffCap?: number;
  /** How long to wait for a connection and its first frame, in milliseconds. Default 10000. */
  connectTimeout?: number;
  /** How long publish and echo wait for their answer, in milliseconds. Default 10000. */
  requestTimeout?: number;
  /** The WebSocket to use where there is no global one, like that of the package ws in Node 20. */
  WebSocket?: WebSocketConstructor;
  /**
   * Gets the errors that reach nobody else: those of listeners, of promises that nobody awaits, of frames that make no sense,
   * and the server's error frames without a listener. Default console.error.
   */
  onError?: (error: unknown) => void;
}

/** The options, checked and complete. */
export interface Settings {
  /** Where the WebSocket is, without parameters of ours. */
  endpoint: URL;
  /** The rooms to join on connecting: none, the warehouse's, or the warehouse's and the zone's. */
  rooms: Room[];
  userId: string | undefined;
  token: ClientOptions['token'];
  autoReconnect: boolean;
  maxAttempts: number;
  backoffBase: number;
  backoffCap: number;
  connectTimeout: number;
  requestTimeout: number;
  WebSocket: WebSocketConstructor;
  onError: (error: unknown) => void;
}

/** Checks the options and fills in the defaults. Throws a ZonecastError that says what to change. */
export function readOptions(options: ClientOptions): Settings {
  if (typeof options !== 'object' || options === null)
    throw invalid('the options are missing: pass at least { url: "http://localhost:3001" }');
  const { url, warehouse, zone, userId, token } = options;
  if (zone !== undefined && warehouse === undefined) throw invalid(`zone needs a warehouse: pass both, or neither`);
  check('userId', userId, userId === undefined || isText(userId), 'a non-empty string');
  check('userId', userId, new TextEncoder().encode(userId).length <= 128, 'at most 128 bytes in UTF-8');
  check('token', token, token === undefined || isText(token) || isFunction(token), 'a string or a function that returns one');
  return {
    endpoint: readUrl(url),
    rooms: readRooms(warehouse, zone),
    userId,
    token,
    autoReconnect: readBoolean(options, 'autoReconnect', true),
    maxAttempts: readNumber(options, 'maxAttempts', 10, 0),
    backoffBase: readNumber(options, 'backoffBase', 1000, 1),
    backoffCap: readNumber(options, 'backoffCap', BACKOFF_CAP, 1),
    connectTimeout: readNumber(options, 'connectTimeout', 10_000, 1),
    requestTimeout: readNumber(options, 'requestTimeout', 10_000, 1),
    WebSocket: readWebSocket(options.WebSocket),
    onError: readOnError(options.onError),
  };
}

function readUrl(url: unknown): URL {
  const example = 'write it like "http://localhost:3001"';
  check('url', url, isText(url) || url instanceof URL, `a string: ${example}`);
  const given = JSON.stringify(String(url));
  let endpoint: URL;
  try {
    endpoint = new URL(String(url));
  } catch (cause) {
    throw invalid(`url ${given} is not an absolute address: ${example}`, cause);
  }
  if (!/^(https?|wss?):$/.test(endpoint.protocol) || !endpoint.host)
    throw invalid(`url ${given} has no scheme that is http, https, ws or wss: ${example}`);
  endpoint.protocol = endpoint.protocol.replace('http', 'ws');
  endpoint.hash = '';
  if (!/\/ws$/.test(endpoint.pathname)) endpoint.pathname = endpoint.pathname.replace(/\/*$/, '/ws');
  return endpoint;
}

function readRooms(warehouse: unknown, zone: unknown): Room[] {
  if (warehouse === undefined) return [];
  const own = makeRoom(warehouse);
  return zone === undefined ? [own] : [own, makeRoom(warehouse, zone)];
}

function readWebSocket(given: unknown): WebSocketConstructor {
  const WebSocket = given ?? (globalThis as { WebSocket?: unknown }).WebSocket;
  if (WebSocket === undefined)
    throw invalid('there is no global WebSocket here: pass one as the option WebSocket, like that of the package ws');
  check('WebSocket', WebSocket, isFunction(WebSocket), 'a constructor');
  return WebSocket as WebSocketConstructor;
}

function readOnError(given: unknown): (error: unknown) => void {
  const log = (error: unknown) => console.error('zonecast:', error);
  if (given === undefined) return log;
  check('onError', given, isFunction(given), 'a function');
  return (error) => {
    try {
      (given as (error: unknown) => void)(error);
    } catch (second) {
      log(error);
      log(second);
    }
  };
}

function readBoolean(options: ClientOptions, name: 'autoReconnect', byDefault: boolean): boolean {
  const value = options[name] ?? byDefault;
  check(name, value, typeof value === 'boolean', 'true or false');
  return value;
}

/** Reads the option `name`, a number that may be left out. */
export function readNumber<Name extends string>(
  options: { [name in Name]?: unknown },
  name: Name,
  byDefault: number,
  least: number,
): number {
  const value = options[name] ?? byDefault;
  check(name, value, typeof value === 'number' && value >= least, `a number of at least ${least}`);
  return value as number;
}

const isText = (value: unknown) => typeof value === 'string' && value !== '';
const isFunction = (value: unknown) => typeof value === 'function';

function check(name: string, value: unknown, ok: boolean, expected: string): void {
  if (ok) return;
  const given = typeof value === 'string' ? JSON.stringify(value) : value === null || typeof value === 'number' ? String(value) : typeof value;
  throw invalid(`${name} is ${given}: it must be ${expected}`);
}

function invalid(message: string, cause?: unknown): ZonecastError {
  return new ZonecastError('invalid_option', message, { cause });
}
