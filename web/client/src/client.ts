import { backoff } from './backoff.js';
import { connect, type Connection, type Owner } from './connection.js';
import { serverError, ZonecastError } from './errors.js';
import type {
  AnyListener,
  Connected,
  Gap,
  Listener,
  MessageMeta,
  Position,
  ProtocolEvents,
  ProtocolMeta,
  WellKnownEvents,
} from './events.js';
import { makeListeners } from './listeners.js';
import { makeMemberships } from './memberships.js';
import { readLike, type Settings } from './options.js';
import { makeWaiters, watch } from './promise.js';
import { makeRequests } from './requests.js';
import { makeRoom } from './room.js';
import type { State, StateListener } from './state.js';
import { later, type Timer } from './timer.js';
import type { Transport } from './transport.js';

export interface Message {
  warehouse: string;
  /** Without it the message goes to the room of the whole warehouse. */
  zone?: string;
  event: string;
  /** Anything that has a JSON form. */
  data?: unknown;
  /** For a client that is behind, it replaces a waiting message of the room with the same name here. */
  conflate?: string;
  /** A message with a key that the server saw in the last minutes is not published again. The client makes one by itself. */
  idempotencyKey?: string;
}

export interface RequestOptions {
  /** How long to try to get the answer, in milliseconds. Default: the option requestTimeout. */
  timeout?: number;
}

export type EventName<Events> = (keyof Events & string) | keyof ProtocolEvents | (string & {});

/**
 * A client of one server. It keeps one connection alive, remembers its rooms and how far it got in each, and goes on from there on
 * the next connection. None of its functions needs `this`.
 */
export interface ZonecastClient<Events = WellKnownEvents> {
  /** What the client is doing; another object whenever it changes. */
  readonly state: State;
  /** The names of the rooms that the client is in, or wants to be in. */
  readonly rooms: string[];
  /** Calls the listener with each state from now on. Returns what removes it. */
  onState(listener: StateListener): () => void;
  /**
   * Connects, and after disconnect() or a failure connects again. Resolves when the server has said `connected`. With
   * autoReconnect it rejects only when the client gives up, without it after the first failure. While the client waits for
   * its next try, this is a way to try at once.
   */
  connect(): Promise<Connected>;
  /** Ends the connection and all that is under way. Rooms and offsets stay remembered for another connect(). */
  disconnect(): void;
  /** Calls the listener with each event of this name. A listener is added once; the last call counts. Returns what removes it. */
  on<Name extends EventName<Events>>(event: Name, listener: Listener<Events, Name>): () => void;
  /** Like on, for the next event only. */
  once<Name extends EventName<Events>>(event: Name, listener: Listener<Events, Name>): () => void;
  off<Name extends EventName<Events>>(event: Name, listener: Listener<Events, Name>): void;
  /** Calls the listener with every event, after the event's own listeners. Returns what removes it. */
  onAny(listener: AnyListener): () => void;
  /**
   * Joins the room of a zone, or without a zone that of the warehouse, and stays in it across reconnects. Resolves with the
   * room's offset when the server let us in, which may be after a reconnect; rejects when it refuses, and the room is
   * forgotten.
   */
  subscribe(warehouse: string, zone?: string): Promise<Position>;
  /** Leaves a room; its events stop at once. Resolves when the server has left it too. */
  unsubscribe(warehouse: string, zone?: string): Promise<void>;
  /**
   * Publishes an event to a room; nobody needs to be in it. Resolves with its offset. When the answer is lost, or there is no
   * connection at the moment, it tries again until the timeout; it is published once all the same. After the timeout, it may
   * have been published or not.
   */
  publish(message: Message, options?: RequestOptions): Promise<Position>;
  /** Measures the time to the server and back, in milliseconds. */
  echo(data?: unknown, options?: RequestOptions): Promise<number>;
}

/** Under these names are the listeners to everything, and those to states; no event has them. */
const ANY = '';
const STATE = ' ';

/** Under this name the store keeps which transport delivered last. */
const TRANSPORT = 'transport';

/** The browser's window or a worker, which hear when the network is back; Node has neither method. */
const network = globalThis as Partial<Pick<EventTarget, 'addEventListener' | 'removeEventListener'>>;

/**
 *     connect() ─▶ open ─▶ Connection ─joined───▶ connected ─▶ Memberships: in the rooms again, from their offsets
 *                   ▲                 ─received─▶ Membership.admit ─▶ Listeners
 *                   ├─ next transport ◀─┐
 *                   └─ wait ◀───────── lost
 *
 * While a transport is used that is not the first, a probe dials the first one beside it now and then, and takes over.
 */
export function makeClient<Events>(settings: Settings): ZonecastClient<Events> {
  const { transports, store, onError, probeInterval, autoReconnect, maxAttempts, backoffBase, backoffCap } = settings;
  const listeners = makeListeners(onError);
  const memberships = makeMemberships(settings);
  const requests = makeRequests();
  /** With a number behind, a key that nobody else has. */
  const keys = crypto.getRandomValues(new Uint32Array(4)).join('-');
  let lastKey = 0;

  let state: State = { name: 'idle' };
  let connection: Connection | undefined;
  let probe: Connection | undefined;
  let retryTimer: Timer | undefined;
  /** Tries since the last good connection; 0 while the first is under way. */
  let attempt = 0;
  /** How many transports this try has found not to deliver. */
  let silent = 0;
  /** Whether there was a good connection since connect(). */
  let recovering = false;
  /** Who called connect(). */
  const connecting = makeWaiters<Connected>();

  const enter = (next: State) => {
    state = next;
    listeners.tell(STATE, state);
  };

  const emit = (data: unknown, meta: MessageMeta | ProtocolMeta) => {
    listeners.tell(meta.event, data, meta);
    listeners.tell(ANY, data, meta);
  };

  /** Whether there is a connection or one to come. */
  const active = () => connection || state.name === 'waiting';

  const mustBeActive = () => {
    if (!active()) throw new ZonecastError('not_connected', 'call connect() first');
  };

  const watched = <T>(run: () => Promise<T>) =>
    watch(run(), (error) => {
      // Whoever disconnects need not be told.
      if ((error as ZonecastError).code !== 'closed') onError(error);
    });

  const ask = (event: string, data: unknown, { timeout }: RequestOptions = {}) => {
    const ms = readLike(settings.requestTimeout, 'timeout', timeout);
    mustBeActive();
    return requests.ask(connection, event, data, ms);
  };

  /** Dials the transport that delivered last, or when some were silent in this try, the next one. */
  const open = (already: number) => {
    clearTimeout(retryTimer);
    const last = Number(store.get(TRANSPORT)) || 0;
    silent = already;
    // The connection is there before anybody hears of it: a listener may want to disconnect.
    connection = connect(settings, transports[(last + silent) % transports.length] as Transport, memberships, owner);
    if (!silent) enter({ name: recovering ? 'recovering' : 'connecting', attempt });
  };

  /** Looks a while later whether the first transport works again. */
  const probeLater = () =>
    connection?.after(probeInterval * (0.5 + Math.random()), () => {
      probe = connect(settings, transports[0] as Transport, memberships, owner);
    });

  const hangUp = (error?: ZonecastError) => {
    connection?.hangUp();
    probe?.hangUp();
    connection = probe = undefined;
    memberships.disconnected(error);
  };

  /** Ends everything that is under way; what is awaited fails with `error`. */
  const stop = (next: State, error: ZonecastError) => {
    clearTimeout(retryTimer);
    network.removeEventListener?.('online', online);
    hangUp(error);
    requests.failAll(error);
    connecting.settle(undefined, error);
    enter(next);
  };

  const online = () => {
    if (state.name === 'waiting') open(0);
  };

  const owner: Owner = {
    joined(by, info, first) {
      const which = transports.indexOf(by.via);
      if (!first) return memberships.joined(by, info.rooms);
      if (by === probe) {
        // What was asked over the connection that it replaces is asked again.
        probe = undefined;
        hangUp();
        connection = by;
      }
      attempt = 0;
      recovering = true;
      store.set(TRANSPORT, `${which}`);
      if (which) probeLater();
      memberships.joined(by, info.rooms);
      requests.sendAll(by);
      connecting.settle(info);
      enter({ name: 'connected', info, transport: by.via.name });
      // A listener may have disconnected.
      if (connection === by) emit(info, { event: 'connected' });
    },

    received({ data, ...meta }) {
      const { event, room, offset, retained } = meta;
      const gap = /^(gap|conflated)$/.test(event) && ((data as Gap | null) ?? ({} as Gap));
      const membership = memberships.membershipOf(gap ? gap.room : room);
      if (!membership) {
        // Of a room that was just left, or nobody asked for.
        if (gap || room !== undefined) return;
      } else if (gap) {
        if (!membership.skip(gap.to)) return;
      } else if (!retained) {
        const hole = membership.admit(offset);
        if (hole === false) return;
        if (hole) emit(hole, { event: 'gap' });
      }
      if (event === 'error') onError(serverError(data));
      if (connection) emit(data, meta as MessageMeta);
    },

    lost(by, error, heard, terminal, retryAfter, spread) {
      if (by === probe) return probeLater();
      hangUp();
      // After a good connection the first tries are for its transport alone: the network may just have gone for a moment.
      const alone = recovering && attempt < 5;
      if (!heard && !terminal && !alone && silent + 1 < transports.length) return open(silent + 1);
      attempt++;
      const last = terminal || !autoReconnect;
      if (!last && attempt > maxAttempts)
        error = new ZonecastError('gave_up', `gave up after ${maxAttempts} attempts: ${error.message}`, { ...error, cause: error });
      if (last || attempt > maxAttempts) return stop({ name: 'failed', error }, error);
      const wait = retryAfter + (spread ? 0 : backoff(attempt, backoffBase, backoffCap));
      retryTimer = later(wait, () => open(0));
      enter({ name: 'waiting', attempt, retryAt: Date.now() + wait, error });
    },
  };

  const client: ZonecastClient<Events> = {
    get state() {
      return state;
    },
    get rooms() {
      return memberships.roomNames();
    },
    onState: (listener) => listeners.listen(STATE, listener),

    connect() {
      if (state.name === 'connected') return Promise.resolve(state.info);
      const outcome = watched(connecting.wait);
      if (!active()) {
        attempt = 0;
        recovering = false;
        network.addEventListener?.('online', online);
      }
      if (!connection) open(0);
      return outcome;
    },

    disconnect() {
      if (state.name !== 'closed') stop({ name: 'closed' }, new ZonecastError('closed', 'disconnected'));
    },

    on: (event, listener) => listeners.listen(event, listener as AnyListener),
    once(event, listener) {
      const remove = listeners.listen(event, listener as AnyListener, (data, meta) => {
        remove();
        return (listener as AnyListener)(data, meta);
      });
      return remove;
    },
    off: (event, listener) => listeners.unlisten(event, listener as AnyListener),
    onAny: (listener) => listeners.listen(ANY, listener),

    subscribe: (warehouse, zone) =>
      watched(async () => {
        const target = makeRoom(warehouse, zone);
        mustBeActive();
        return memberships.subscribe(target);
      }),

    unsubscribe: (warehouse, zone) => watched(async () => memberships.unsubscribe(makeRoom(warehouse, zone))),

    publish: ({ warehouse, zone, ...message }, options) =>
      watched(async () => {
        const data = { ...makeRoom(warehouse, zone), idempotencyKey: `${keys}-${++lastKey}`, ...message };
        return (await ask('publish', data, options)) as Position;
      }),

    echo: (data = null, options) =>
      watched(async () => {
        const sent = performance.now();
        await ask('echo', data, options);
        return performance.now() - sent;
      }),
  };
  return client;
}
