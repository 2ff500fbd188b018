import { backoff } from './backoff.js';
import { CloseCode } from './close.js';
import { connect, type Connection, type Loss, type Owner } from './connection.js';
import { isPermanent, serverError, ZonecastError } from './errors.js';
import type {
  AnyListener,
  Connected,
  EventData,
  Gap,
  Listener,
  MessageMeta,
  Position,
  ProtocolEvents,
  ProtocolMeta,
  WellKnownEvents,
} from './events.js';
import type { ServerFrame } from './frame.js';
import { ANY, makeListeners } from './listeners.js';
import { makeMemberships } from './memberships.js';
import { LEAST_REQUEST_TIMEOUT, readValue, type Settings } from './options.js';
import { abortable, makeWaiters, type Running, watch } from './promise.js';
import { makeRequests } from './requests.js';
import { formatRoom, makeRoom } from './room.js';
import { STATE, type State, type StateListener } from './state.js';
import { startTimer, type Timer } from './timer.js';
import type { Transport } from './transport.js';

export interface Message<Data = unknown, Name extends string = string> {
  warehouse: string;
  /** Without it the message goes to the room of the whole warehouse. */
  zone?: string;
  event: Name;
  /** Anything that has a JSON form; for an event of the client's types, what they say. */
  data?: Data;
  /**
   * For a client that is behind, it replaces a queued message of the room with the same name here.
   */
  conflate?: string;
  /**
   * A message with a key that the server saw in the last minutes is not published again. The client
   * makes one by itself.
   */
  idempotencyKey?: string;
  /**
   * The answer comes when Redis has it on disk or on replicas, as the server is set up. The error
   * not_durable says that it was published, and that this is not known.
   */
  durable?: boolean;
}

export interface SignalOptions {
  /** Gives up when it is aborted, and rejects with the code aborted. */
  signal?: AbortSignal | undefined;
}

export interface RequestOptions extends SignalOptions {
  /**
   * How long to try to get the answer, in milliseconds. At least 1; default: the option
   * requestTimeout. While it waits for its turn, time stands still as long as the server takes those
   * before it.
   */
  timeout?: number;
}

export type EventName<Events> = (keyof Events & string) | keyof ProtocolEvents | (string & {});

/**
 * A client of one server. It keeps one connection alive, remembers its rooms and the offset that it
 * reached in each, and resumes there on the next connection. None of its functions needs `this`.
 * What rejects does so with a ZonecastError; one that nobody awaits goes to onError.
 */
export interface ZonecastClient<Events = WellKnownEvents> {
  /** What the client is doing; another object whenever it changes. */
  readonly state: State;
  /** The names of the rooms that the client is in, or wants to be in. */
  readonly rooms: string[];
  /** How many requests to publish and echo have no answer yet. */
  readonly pending: number;
  /**
   * The server's clock in milliseconds since 1970, whatever this device's says. It is behind by the
   * time that a frame takes to come here. Before the first connection it is the device's own.
   */
  serverNow(): number;
  /** The option onError, for what is built on the client. */
  readonly onError?: (error: unknown) => void;
  /** Calls the listener with each state from now on. Returns what removes it. */
  onState(listener: StateListener): () => void;
  /**
   * Connects, and after disconnect() or a failure connects again. Resolves when the server has said
   * `connected`. With autoReconnect it rejects only when the client gives up or the server refuses
   * it for good, without it after the first failure. While the client waits for its next try, this
   * is a way to try at once; while it is connected, to find out at once whether it still is. An
   * aborted signal disconnects a client that is not connected yet.
   */
  connect(options?: SignalOptions): Promise<Connected>;
  /**
   * Ends the connection and all that is under way; what is awaited rejects with the code closed.
   * Rooms and offsets stay remembered for another connect().
   */
  disconnect(): void;
  /**
   * Calls the listener with each event of this name, after those that were added before. What was
   * retained in a room that the client is in, a new listener gets too, a moment later, marked
   * meta.retained and in its newest state. A listener is added once; the last call counts. Returns
   * what removes it.
   */
  on<Name extends EventName<Events>>(event: Name, listener: Listener<Events, Name>): () => void;
  /** Like on, for the next event only. */
  once<Name extends EventName<Events>>(event: Name, listener: Listener<Events, Name>): () => void;
  off<Name extends EventName<Events>>(event: Name, listener: Listener<Events, Name>): void;
  /**
   * Calls the listener with every event, after the event's own listeners. Returns what removes it.
   */
  onAny(listener: AnyListener): () => void;
  /**
   * Joins the room of a zone, or without a zone that of the warehouse, and stays in it across
   * reconnects. Resolves with the room's offset when the server let us in, which may be after a
   * reconnect, or after connect(); rejects when it refuses, and the room is forgotten. So it is when
   * the signal is aborted before, unless it was asked for earlier.
   */
  subscribe(warehouse: string, zone?: string, options?: SignalOptions): Promise<Position>;
  /**
   * Leaves a room; its events stop at once. Resolves when the server has left it too. Rejects with
   * not_subscribed when the client is not in it.
   */
  unsubscribe(warehouse: string, zone?: string): Promise<void>;
  /**
   * Publishes an event to a room; nobody needs to be in it. Resolves with its offset. When the
   * answer is lost, or there is no connection at the moment, it tries again until the timeout; it
   * is published once all the same. After the timeout, or when its signal is aborted, it may have
   * been published or not. What is published first arrives first, at the pace that the server's rate
   * limit permits.
   */
  publish<Name extends EventName<Events>>(
    message: Message<EventData<Events, Name>, Name>,
    options?: RequestOptions,
  ): Promise<Position>;
  /** Measures the time to the server and back, in milliseconds. */
  echo(data?: unknown, options?: RequestOptions): Promise<number>;
}

/** Under this name the store keeps with which transport to begin. */
const TRANSPORT = 'transport';

/** After a good connection, so many tries are for its transport alone. */
const SAME_TRANSPORT_ATTEMPTS = 4;

/**
 * When so many connections in a row ended sooner than that, in milliseconds, and the server did not
 * close them, something on the way cuts what stays open: the next transport's turn.
 */
const SHORT_LIVES = 3;
const SHORT_LIFE = 5000;

/** After so many refused tokens in a row, those of a function, the client gives up. */
const REFUSED_TOKENS = 3;

/** What the browser's window or a worker tells of the network and of sleep. */
const WAKE_EVENTS = ['online', 'offline', 'pageshow', 'visibilitychange'] as const;

/** The window or a worker. Node has neither method, nor the rest. */
const environment = globalThis as Partial<Pick<EventTarget, 'addEventListener' | 'removeEventListener'>> & {
  navigator?: { onLine?: boolean };
  document?: { hidden?: boolean };
};

const isOffline = () => environment.navigator?.onLine === false;

/**
 *     connect() ─▶ dial ─▶ Connection ─established─▶ connected ─▶ Memberships: resumes the rooms
 *                   ▲                 ─received────▶ Membership.accept ─▶ Listeners
 *                   ├─ next transport ◀─┐
 *                   └─ wait ◀───────── lost
 *
 * While a transport is used that is not the first, a probe dials the first one beside it now and
 * then, and takes over.
 */
export function makeClient<Events>(settings: Settings): ZonecastClient<Events> {
  const { transports, store, onError, probeInterval, autoReconnect, maxAttempts, backoffBase, backoffCap, token } =
    settings;
  const memberships = makeMemberships(settings);
  const listeners = makeListeners(onError, () => memberships.all().flatMap(({ kept }) => [...kept.values()]));
  const requests = makeRequests();
  /**
   * With a number behind it, an idempotency key that the same user gives to no other message. React
   * Native has no crypto.
   */
  const keyPrefix = `${Date.now()}-${Math.random()}`;
  let lastKey = 0;

  let state: State = { name: 'idle' };
  let connection: Connection | undefined;
  let probe: Connection | undefined;
  let retryTimer: Timer | undefined;
  /** Tries since the last good connection; 0 while the first is under way. */
  let attempt = 0;
  /** Of these, those that count: not made while the browser was offline. */
  let onlineAttempts = 0;
  /** Refused tokens since the last good connection. */
  let refusedTokens = 0;
  /** Short lives in a row. */
  let shortLives = 0;
  let establishedAt = 0;
  /** What the transports met in this try. */
  let errors: ZonecastError[] = [];
  /** How many transports were passed over in this try, since they did not deliver. */
  let passedOver = 0;
  /** How far the server's clock is ahead of ours, in milliseconds. */
  let clockSkew = 0;
  /** Whether there was a good connection since connect(). */
  let wasConnected = false;
  const connectWaiters = makeWaiters<Connected>();

  const setState = (next: State) => {
    state = next;
    listeners.call(listeners.of(STATE), state);
  };

  const setClock = (serverTime: unknown) => {
    if ((serverTime as number) > 0) clockSkew = (serverTime as number) - Date.now();
  };

  const emit = (data: unknown, meta: MessageMeta | ProtocolMeta) => {
    const { event, room, retained } = meta;
    const kept = memberships.get(room)?.kept;
    if (retained || kept?.has(event)) kept?.set(event, [data, meta]);
    listeners.call(listeners.of(event, ANY), data, meta);
  };

  /** Whether there is a connection or one to come. */
  const active = () => connection || state.name === 'waiting';

  const watched = <T>(run: () => Running<T>, options?: SignalOptions) =>
    watch(abortable(run, options?.signal), (error) => {
      // Whoever disconnects or aborts need not be told.
      if (!/^(closed|aborted)$/.test((error as ZonecastError).code)) onError(error);
    });

  const request = (event: string, data: unknown, options?: RequestOptions) => {
    const ms = readValue(options?.timeout, 'timeout', settings.requestTimeout, LEAST_REQUEST_TIMEOUT);
    if (!active()) throw new ZonecastError('not_connected', 'call connect() first');
    if (requests.count() >= settings.maxPending)
      throw new ZonecastError('overflow', `${settings.maxPending} requests wait`);
    return requests.request(event, data, ms);
  };

  /** Dials the first transport of a try, which is the one that delivered last. */
  const dialFirst = () => {
    passedOver = 0;
    errors = [];
    dial();
    setState({ name: wasConnected ? 'recovering' : 'connecting', attempt });
  };

  const dial = () => {
    clearTimeout(retryTimer);
    const last = Number(store.get(TRANSPORT)) || 0;
    const transport = transports[(last + passedOver) % transports.length] as Transport;
    // The connection is there before anybody hears of it: a listener may want to disconnect.
    connection = connect(settings, transport, memberships, owner);
  };

  /** Looks a while later whether the first transport works again. */
  const scheduleProbe = () =>
    connection?.after(probeInterval * (0.5 + Math.random()), () => {
      probe = connect(settings, transports[0] as Transport, memberships, owner);
    });

  const closeConnections = (error?: ZonecastError) => {
    connection?.close();
    probe?.close();
    connection = probe = undefined;
    memberships.disconnected(error);
  };

  /** Ends everything that is under way; what is awaited fails with `error`. */
  const stop = (next: State, error: ZonecastError) => {
    clearTimeout(retryTimer);
    // Who gave up comes back with the network.
    if (error.code !== 'gave_up') for (const event of WAKE_EVENTS) environment.removeEventListener?.(event, onWake);
    closeConnections(error);
    requests.rejectAll(error);
    connectWaiters.settle(undefined, error);
    setState(next);
  };

  const fail = (error: ZonecastError) => stop({ name: 'failed', error }, error);

  /** Tries at once, or looks at once whether the connection still stands. */
  const tryNow = () => {
    if (state.name === 'connected') connection?.check();
    else if (!connection) dialFirst();
  };

  const onWake = ({ type }: { type: string }) => {
    if (type === 'offline') {
      if (state.name === 'connected') connection?.drop('offline');
    } else if (type === 'online' && state.name === 'failed') {
      attempt = onlineAttempts = 0;
      dialFirst();
    } else if (active() && !(type === 'visibilitychange' && environment.document?.hidden)) tryNow();
  };

  /** Whether this try goes on with the next transport, since this one may be what does not work. */
  const fallsBack = ({ answered, error }: Loss) => {
    // What the server answers over works, and a permanent refusal would be the same over another one.
    if (answered || isPermanent(error.code)) return false;
    // The network may just have gone for a moment, and with it all transports.
    if (wasConnected && attempt <= SAME_TRANSPORT_ATTEMPTS) return false;
    return passedOver + 1 < transports.length;
  };

  /** Moves the room's offset. Returns whether listeners are to get the frame. */
  const admit = (frame: ServerFrame) => {
    const { event, room, data } = frame;
    // Both say that the offsets up to `to` will not come: they are lost, or replaced by newer ones.
    if (event === 'gap' || event === 'conflated') {
      const { room, to } = (data ?? {}) as Gap;
      return !!memberships.get(room)?.skipTo(to);
    }
    if (room === undefined) return true;
    const membership = memberships.get(room);
    if (!membership) return false; // the room was just left, or nobody asked for it
    const hole = membership.accept(frame);
    if (hole === 'duplicate') return false;
    if (hole) emit(hole, { event: 'gap' });
    return true;
  };

  const owner: Owner = {
    established(by, info) {
      if (by === probe) {
        // What was asked over the connection that it replaces is asked again.
        probe = undefined;
        closeConnections();
        connection = by;
      }
      attempt = onlineAttempts = refusedTokens = 0;
      wasConnected = true;
      establishedAt = performance.now();
      const index = transports.indexOf(by.transport);
      store.set(TRANSPORT, `${index}`);
      if (index > 0) scheduleProbe();
      owner.joined(by, info);
      requests.use(by);
      connectWaiters.settle(info);
      setState({ name: 'connected', info, transport: by.transport.name });
      // A listener may have disconnected.
      if (connection === by) emit(info, { event: 'connected' });
    },

    joined(by, { rooms, serverTime }) {
      setClock(serverTime);
      memberships.joined(by, rooms);
    },

    received(frame) {
      if (!admit(frame)) return;
      const { data, ...meta } = frame;
      if (meta.event === 'error') onError(serverError(data));
      if (meta.event === 'heartbeat') setClock((data as ProtocolEvents['heartbeat'] | null)?.time);
      // A listener may have disconnected.
      if (connection) emit(data, meta as MessageMeta);
    },

    lost(by, loss) {
      if (by === probe) return scheduleProbe();
      const { error, retryAfter, jittered } = loss;
      const { closeCode } = error;
      const wasGood = state.name === 'connected';
      // Our own probe may be what replaced it.
      const replacedItself = probe && error.code === 'replaced';
      closeConnections();
      errors.push(error);
      if (fallsBack(loss)) {
        passedOver++;
        return dial();
      }
      if (errors[1]) Object.assign(error, { errors });
      const renews = closeCode === CloseCode.unauthenticated && typeof token === 'function';
      const terminal = isPermanent(error.code) && !replacedItself && !(renews && ++refusedTokens < REFUSED_TOKENS);
      if (terminal || !autoReconnect) return fail(error);
      if (wasGood) {
        // What just breaks has no code, or that of no closing handshake.
        const wasCut = (closeCode ?? 1006) === 1006 && !isOffline() && performance.now() - establishedAt < SHORT_LIFE;
        shortLives = wasCut ? shortLives + 1 : 0;
        if (shortLives >= SHORT_LIVES) store.set(TRANSPORT, `${transports.indexOf(by.transport) + 1}`);
      }
      attempt++;
      if (!isOffline()) onlineAttempts++;
      if (onlineAttempts > maxAttempts) {
        const message = `gave up after ${maxAttempts} attempts: ${error.message}`;
        return fail(new ZonecastError('gave_up', message, { ...error, cause: error }));
      }
      const wait = retryAfter + (jittered ? 0 : backoff(attempt, backoffBase, backoffCap));
      retryTimer = startTimer(wait, dialFirst);
      setState({ name: 'waiting', attempt, retryAt: Date.now() + wait, error });
    },
  };

  const disconnect = () => {
    if (state.name !== 'closed') stop({ name: 'closed' }, new ZonecastError('closed', 'disconnected'));
  };

  const unsubscribe = (warehouse: string, zone?: string) =>
    watched(() => [memberships.unsubscribe(makeRoom(warehouse, zone))]);

  const client: ZonecastClient<Events> = {
    get state() {
      return state;
    },
    get pending() {
      return requests.count();
    },
    get rooms() {
      return memberships.all().map(({ name }) => name);
    },
    serverNow: () => Date.now() + clockSkew,
    onError,
    onState: (listener) => listeners.add(STATE, listener),

    connect: (options) =>
      watched(() => {
        const outcome = state.name === 'connected' ? Promise.resolve(state.info) : connectWaiters.wait();
        if (!active()) {
          attempt = onlineAttempts = refusedTokens = shortLives = 0;
          wasConnected = false;
          for (const event of WAKE_EVENTS) environment.addEventListener?.(event, onWake);
        }
        tryNow();
        return [outcome, () => state.name === 'connected' || disconnect()];
      }, options),

    disconnect,

    on: (event, listener) => listeners.add(event, listener as AnyListener),
    once(event, listener) {
      const remove = listeners.add(event, listener as AnyListener, (...heard: Parameters<AnyListener>) => {
        remove();
        return (listener as AnyListener)(...heard);
      });
      return remove;
    },
    off: listeners.remove as ZonecastClient['off'],
    onAny: (listener) => listeners.add(ANY, listener),

    subscribe: (warehouse, zone, options) =>
      watched(() => {
        const room = makeRoom(warehouse, zone);
        const wasWanted = memberships.get(formatRoom(room));
        return [memberships.subscribe(room), () => wasWanted || unsubscribe(warehouse, zone)];
      }, options),

    unsubscribe,

    publish: (message, options) =>
      watched(() => {
        const { warehouse, zone, ...others } = (message ?? {}) as Message;
        const data = { ...makeRoom(warehouse, zone), idempotencyKey: `${keyPrefix}-${++lastKey}`, ...others };
        return request('publish', data, options) as Running<Position>;
      }, options),

    echo: (data = null, options) =>
      watched(() => {
        const sent = performance.now();
        const [outcome, end] = request('echo', data, options);
        return [outcome.then(() => performance.now() - sent), end];
      }, options),
  };
  settings.debug?.(client);
  return client;
}
