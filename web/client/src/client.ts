import { backoff } from './backoff.js';
import { type Address, Connection, type Loss } from './connection.js';
import { serverError, ZonecastError } from './errors.js';
import {
  type AnyListener,
  checkEvent,
  type Connected,
  type Gap,
  type Listener,
  type MessageMeta,
  type Position,
  type ProtocolEvents,
  type ProtocolMeta,
  type WellKnownEvents,
} from './events.js';
import type { ServerFrame } from './frame.js';
import { Listeners } from './listeners.js';
import { Memberships } from './memberships.js';
import { type ClientOptions, readNumber, readOptions, type Settings } from './options.js';
import { Deferred, WatchedPromise } from './promise.js';
import { makeRoom } from './room.js';
import type { State, StateListener } from './state.js';
import { later, type Timer } from './timer.js';

export interface Message {
  warehouse: string;
  /** Without it the message goes to the room of the whole warehouse. */
  zone?: string;
  event: string;
  /** Anything that has a JSON form. */
  data?: unknown;
}

export interface RequestOptions {
  /** How long to wait for the answer, in milliseconds. Default: the option requestTimeout. */
  timeout?: number;
}

type EventName<Events> = (keyof Events & string) | keyof ProtocolEvents | (string & {});

/** What a subprotocol may consist of: a token of RFC 9110, section 5.6.2. */
const SUBPROTOCOL_TOKEN = /^[\w!#$%&'*+.^`|~-]+$/;

/** Under this name are the listeners to everything; no event has it. */
const ANY = '';

/**
 * A client of one server. It keeps one connection alive, remembers its rooms and how far it got in each, and goes on from
 * there on the next connection:
 *
 *     connect() ─▶ #open ─▶ Connection ─connected─▶ #connected ─▶ Memberships joins the rooms again, from their offsets
 *                    ▲                 ─received──▶ #received ─▶ Membership.admit ─▶ Listeners
 *                    └── wait ◀─ #lost ◀──lost────
 */
export class WebSocketClient<Events = WellKnownEvents> {
  readonly #settings: Settings;
  readonly #listeners: Listeners<[data: unknown, meta: MessageMeta | ProtocolMeta]>;
  readonly #stateListeners: Listeners<[State]>;
  readonly #memberships: Memberships;

  #state: State = { name: 'idle' };
  #connection: Connection | undefined;
  #retryTimer: Timer | undefined;
  /** Tries since the last good connection; 0 while the first is under way. */
  #attempt = 0;
  /** Whether the server once joined us to the rooms of the options. From then on we join all rooms ourselves. */
  #joinedByAddress = false;
  /** What connect() returned, while it is open. */
  #connecting: Deferred<Connected> | undefined;

  /** See createWebSocketClient. */
  constructor(options: ClientOptions) {
    this.#settings = readOptions(options);
    this.#listeners = new Listeners(this.#settings.onError);
    this.#stateListeners = new Listeners(this.#settings.onError);
    this.#memberships = new Memberships(this.#settings, (gap) => this.#emit('gap', gap, { event: 'gap' }));
  }

  get state(): State {
    return this.#state;
  }

  /** Calls the listener with each state from now on. Returns what removes it. */
  onState(listener: StateListener): () => void {
    return this.#stateListeners.add(ANY, listener);
  }

  /**
   * Connects, and after disconnect() or a failure connects again. Resolves when the server has said `connected`. With
   * autoReconnect it rejects only when the client gives up, without it after the first failure. While the client waits for
   * its next try, this is a way to try at once.
   */
  connect(): Promise<Connected> {
    const { name } = this.#state;
    if (this.#state.name === 'connected') return Promise.resolve(this.#state.info);
    this.#connecting ??= new Deferred();
    const outcome = this.#watch(this.#connecting.promise);
    if (name !== 'connecting') {
      if (name !== 'waiting') this.#attempt = 0;
      network.addEventListener?.('online', this.#online);
      this.#open();
    }
    return outcome;
  }

  /** Ends the connection and all that is under way. Rooms and offsets stay remembered for another connect(). */
  disconnect(): void {
    if (this.#state.name === 'closed') return;
    this.#stop({ name: 'closed' }, new ZonecastError('closed', 'disconnect() was called'));
  }

  /** Calls the listener with each event of this name. A listener is added once; the last call counts. Returns what removes it. */
  on<Name extends EventName<Events>>(event: Name, listener: Listener<Events, Name>): () => void {
    return this.#listeners.add(checkName(event), listener as AnyListener);
  }

  /** Like on, for the next event only. */
  once<Name extends EventName<Events>>(event: Name, listener: Listener<Events, Name>): () => void {
    const call = listener as AnyListener;
    const remove = this.#listeners.add(checkName(event), call, (data, meta) => {
      remove();
      return call(data, meta);
    });
    return remove;
  }

  off<Name extends EventName<Events>>(event: Name, listener: Listener<Events, Name>): void {
    this.#listeners.remove(event, listener as AnyListener);
  }

  /** Calls the listener with every event, after the event's own listeners. Returns what removes it. */
  onAny(listener: AnyListener): () => void {
    return this.#listeners.add(ANY, listener);
  }

  /**
   * Joins the room of a zone, or without a zone that of the warehouse, and stays in it across reconnects. Resolves with the
   * room's offset when the server let us in, which may be after a reconnect; rejects when it refuses, and the room is
   * forgotten.
   */
  subscribe(warehouse: string, zone?: string): Promise<Position> {
    const join = async () => {
      const target = makeRoom(warehouse, zone);
      if (this.#connection || this.#state.name === 'waiting') return this.#memberships.subscribe(target);
      throw notConnected();
    };
    return this.#watch(join());
  }

  /** Leaves a room; its events stop at once. Rejects when the server refuses, and then the room is not left. */
  unsubscribe(warehouse: string, zone?: string): Promise<void> {
    const leave = async () => this.#memberships.unsubscribe(makeRoom(warehouse, zone));
    return this.#watch(leave());
  }

  /**
   * Publishes an event to a room; nobody needs to be in it. Resolves with its offset. On a timeout or when the connection
   * breaks, it may have been published or not.
   */
  publish(message: Message, options: RequestOptions = {}): Promise<Position> {
    const publish = async () => {
      const { warehouse, zone, event, data } = message;
      checkEvent(event);
      return this.#request('publish', { ...makeRoom(warehouse, zone), event, data }, options);
    };
    return this.#watch(publish() as Promise<Position>);
  }

  /** Measures the time to the server and back, in milliseconds. */
  echo(data: unknown = null, options: RequestOptions = {}): Promise<number> {
    const sent = performance.now();
    return this.#watch(this.#request('echo', data, options).then(() => performance.now() - sent));
  }

  async #request(event: string, data: unknown, options: RequestOptions): Promise<unknown> {
    const timeout = readNumber(options, 'timeout', this.#settings.requestTimeout, 1);
    const connection = this.#connection;
    if (!connection || this.#state.name !== 'connected') throw notConnected();
    return new Promise((ack, fail) => connection.request(event, data, { ack, fail }, timeout));
  }

  #open(): void {
    clearTimeout(this.#retryTimer);
    const { WebSocket, connectTimeout, onError } = this.#settings;
    // The connection is there before anybody hears of it: a listener may want to disconnect.
    this.#connection = new Connection(
      { WebSocket, timeout: connectTimeout, address: () => this.#address() },
      {
        connected: (data) => this.#connected(data),
        received: (frame) => this.#received(frame),
        malformed: onError,
        lost: (loss) => this.#lost(loss),
      },
    );
    this.#enter({ name: 'connecting', attempt: this.#attempt });
  }

  async #address(): Promise<Address> {
    const { endpoint, rooms, userId, token } = this.#settings;
    const url = new URL(endpoint);
    // The server joins the rooms of the address at their newest messages: to resume we must ask for each room.
    const room = this.#joinedByAddress ? undefined : rooms.at(-1);
    const credential = typeof token === 'function' ? await token() : token;
    if (token !== undefined && (typeof credential !== 'string' || credential === ''))
      throw new TypeError('the token function must return a non-empty string');
    for (const [name, value] of Object.entries({ ...room, userId }))
      if (value !== undefined) url.searchParams.set(name, value);
    if (credential === undefined) return { url };
    // Addresses end up in logs on the way, so the token goes among the subprotocols where its characters allow that.
    if (SUBPROTOCOL_TOKEN.test(credential)) return { url, protocols: ['zonecast', credential] };
    url.searchParams.set('token', credential);
    return { url };
  }

  #connected(info: Connected): void {
    const connection = this.#connection as Connection;
    this.#attempt = 0;
    this.#joinedByAddress = true;
    this.#memberships.connected(connection, info.rooms);
    this.#connecting?.resolve(info);
    this.#connecting = undefined;
    this.#enter({ name: 'connected', info });
    // A listener may have disconnected.
    if (this.#connection === connection) this.#emit('connected', info, { event: 'connected' });
  }

  #received({ event, data, room, offset, time, retained }: ServerFrame): void {
    if (room !== undefined) {
      this.#message(data, { event, room, offset, time, ...(retained && { retained }) } as MessageMeta);
    } else if (event === 'gap' || event === 'conflated') {
      const gap = data as Gap | null;
      const membership = this.#memberships.get(gap?.room);
      membership?.skip(gap);
      if (membership) this.#emit(event, gap, { event });
    } else if (event === 'heartbeat' || event === 'drain') {
      this.#emit(event, data, { event });
    } else if (event === 'error') {
      if (this.#listeners.has(event)) this.#emit(event, data, { event });
      else this.#settings.onError(serverError(data));
    }
  }

  #message(data: unknown, meta: MessageMeta): void {
    const membership = this.#memberships.get(meta.room);
    if (!membership) return;
    const { deliver, gap } = meta.retained ? { deliver: true } : membership.admit(meta.offset);
    if (gap) this.#emit('gap', gap, { event: 'gap' });
    if (deliver && this.#connection) this.#emit(meta.event, data, meta);
  }

  #lost({ error, terminal, retryAfter, spread }: Loss): void {
    const { autoReconnect, maxAttempts, backoffBase, backoffCap } = this.#settings;
    this.#connection = undefined;
    const attempt = ++this.#attempt;
    if (terminal || !autoReconnect) {
      this.#stop({ name: 'failed', error }, error);
      return;
    }
    if (attempt > maxAttempts) {
      const details = { cause: error, closeCode: error.closeCode };
      const last = new ZonecastError('gave_up', `gave up after ${maxAttempts} attempts: ${error.message}`, details);
      this.#stop({ name: 'failed', error: last }, last);
      return;
    }
    this.#memberships.disconnected();
    const pause = backoff(attempt, backoffBase, backoffCap);
    const wait = spread && retryAfter !== undefined ? retryAfter : (retryAfter ?? 0) + pause;
    this.#retryTimer = later(wait, () => this.#open());
    this.#enter({ name: 'waiting', attempt, retryAt: Date.now() + wait, error });
  }

  /** Ends everything that is under way; what is awaited fails with `error`. */
  #stop(state: State, error: ZonecastError): void {
    clearTimeout(this.#retryTimer);
    network.removeEventListener?.('online', this.#online);
    const connection = this.#connection;
    const connecting = this.#connecting;
    this.#connection = this.#connecting = undefined;
    connection?.close(error);
    this.#memberships.disconnected(error);
    connecting?.reject(error);
    this.#enter(state);
  }

  readonly #online = (): void => {
    if (this.#state.name === 'waiting') this.#open();
  };

  #enter(state: State): void {
    this.#state = state;
    this.#stateListeners.call(ANY, state);
  }

  #emit(event: string, data: unknown, meta: MessageMeta | ProtocolMeta): void {
    this.#listeners.call(event, data, meta);
    this.#listeners.call(ANY, data, meta);
  }

  #watch<T>(outcome: Promise<T>): Promise<T> {
    return WatchedPromise.watch(outcome, (error) => {
      // Whoever disconnects need not be told.
      if ((error as ZonecastError).code !== 'closed') this.#settings.onError(error);
    });
  }
}

/** Makes a client; connect() connects it. Throws a ZonecastError that says what to change when an option can't be used. */
export function createWebSocketClient<Events extends object = {}>(
  options: ClientOptions,
): WebSocketClient<Omit<WellKnownEvents, keyof Events> & Events> {
  return new WebSocketClient(options);
}

/** The browser's window or a worker, which hear when the network is back; Node has neither method. */
const network = globalThis as Partial<Pick<EventTarget, 'addEventListener' | 'removeEventListener'>>;

function notConnected(): ZonecastError {
  return new ZonecastError('not_connected', 'there is no connection: call connect() first, or wait until it is back');
}

function checkName(event: unknown): string {
  if (typeof event === 'string' && event !== '') return event;
  throw new ZonecastError('invalid_event', 'the event to listen to is missing: name it, like "ZONE_UPDATE", or use onAny');
}
