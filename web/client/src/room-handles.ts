/**
 * Rooms as things of their own: each handle has its own listeners, all handles of a room share one
 * subscription and what is known of the room.
 */
import type { EventName, ZonecastClient } from './client.js';
import type { ZonecastError } from './errors.js';
import type { AnyListener, Gap, Listener, MessageMeta, Position, WellKnownEvents } from './events.js';
import { ANY, type Kept, type Listeners, makeListeners } from './listeners.js';
import { watch } from './promise.js';
import { formatRoom, type Room } from './room.js';
import { STATE } from './state.js';

/** What is known of a room. Each is an object of its own that never changes. */
export interface RoomState<Events = WellKnownEvents> {
  /** The data of the newest event of each name, the retained ones included. */
  readonly latest: { readonly [Name in keyof Events]?: Events[Name] };
  /** Whether the current connection is in the room. */
  readonly joined: boolean;
  /** The newest gap: what is shown may be out of date. Undefined when nothing is missing. */
  readonly missed?: Gap | undefined;
  /** Why the server does not let us in. It is asked again by reload(), or after another connect(). */
  readonly error?: ZonecastError | undefined;
}

/** One holder of a room. The room is joined as long as it has one. */
export interface RoomHandle<Events = WellKnownEvents> extends RoomState<Events> {
  /** "warehouse:{warehouse}" or "zone:{warehouse}:{zone}". */
  readonly room: string;
  /** All of the above in one object, another one whenever something changed. */
  readonly state: RoomState<Events>;
  /** Resolves when the client is in the room; rejects when it is refused. */
  readonly ready: Promise<Position>;
  /** Calls the listener with each state from now on. Returns what removes it. */
  onState(listener: (state: RoomState<Events>) => unknown): () => void;
  /**
   * As the client's on, for this room, after the client's own listeners; `gap` and `conflated`
   * too. It ends with leave().
   */
  on<Name extends EventName<Events>>(event: Name, listener: Listener<Events, Name>): () => void;
  once<Name extends EventName<Events>>(event: Name, listener: Listener<Events, Name>): () => void;
  off<Name extends EventName<Events>>(event: Name, listener: Listener<Events, Name>): void;
  onAny(listener: AnyListener): () => void;
  /**
   * Joins as for the first time: retained events come again, `latest` begins anew, and `missed` and
   * `error` are gone. What is published meanwhile is not missed but skipped.
   */
  reload(): Promise<Position>;
  /**
   * Lets go of the room and of this handle's listeners. The last handle leaves the room, unless
   * subscribe() or the options hold it too. Resolves when the server has left it too.
   */
  leave(): Promise<void>;
}

export interface Rooms<Events = WellKnownEvents> {
  /** Joins the room of a zone; see RoomHandle. What is wrong with it, `error` and `ready` say. */
  zone(warehouse: string, zone: string): RoomHandle<Events>;
  /** Likewise the room of a whole warehouse. */
  warehouse(warehouse: string): RoomHandle<Events>;
}

/** Of so many event names the newest event is kept; then that of the name quiet for longest goes. */
const MAX_LATEST = 1000;

/** Gives a client zone() and warehouse(). It is the same client, and twice is as once. */
export function withRooms<Events>(client: ZonecastClient<Events>): ZonecastClient<Events> & Rooms<Events> {
  if ('zone' in client) return client as ZonecastClient<Events> & Rooms<Events>;
  const { subscribe, unsubscribe } = client;
  const shared = new Map<string, SharedRoom<Events>>();
  const handleOf = (warehouse: string, zone?: string) => {
    const room = { warehouse, ...(zone && { zone }) };
    const name = formatRoom(room);
    const wasThere = client.rooms.includes(name);
    const calls = { ...client, subscribe, unsubscribe };
    const found = shared.get(name) ?? shareRoom(calls, room, wasThere, () => shared.delete(name));
    shared.set(name, found);
    return makeHandle(found, onErrorOf(client));
  };
  /** What handles hold, subscribe() holds too, and unsubscribe() does not leave. */
  const counted: Pick<ZonecastClient, 'subscribe' | 'unsubscribe'> = {
    subscribe(warehouse, zone, options) {
      shared.get(formatRoom({ warehouse, ...(zone && { zone }) }))?.hold(true);
      return subscribe(warehouse, zone, options);
    },
    unsubscribe(warehouse, zone) {
      const isShared = shared.get(formatRoom({ warehouse, ...(zone && { zone }) }))?.hold(false);
      return isShared ? Promise.resolve() : unsubscribe(warehouse, zone);
    },
  };
  return Object.assign(client, { zone: handleOf, warehouse: handleOf }, counted);
}

const onErrorOf = ({ onError = console.error }: { onError?: (error: unknown) => void }) => onError;

/** What the handles of a room share. */
interface SharedRoom<Events> {
  readonly name: string;
  /** The listeners of each handle. */
  readonly handles: Set<Listeners>;
  state(): RoomState<Events>;
  ready(): Promise<Position>;
  /** Whether somebody without a handle holds the room too. Returns true. */
  hold(held: boolean): true;
  /** What late listeners get: the newest event of each name that ever came retained. */
  kept(): Kept[];
  reload(): Promise<Position>;
  leave(): Promise<void>;
}

function shareRoom<Events>(
  client: ZonecastClient<Events>,
  room: Room,
  held: boolean,
  left: () => void,
): SharedRoom<Events> {
  const { warehouse, zone } = room;
  const name = formatRoom(room);
  const handles = new Set<Listeners>();
  /** The newest event of each name, the quietest first, and whether late listeners get it. */
  const latest = new Map<string, readonly [data: unknown, meta: MessageMeta, isKept: boolean]>();
  let facts: Omit<RoomState, 'latest'> = { joined: false };
  let state: RoomState<Events> | undefined;
  let ready: Promise<Position>;
  /** Whether anybody looked at it. */
  let isAwaited = false;

  const stateNow = () => {
    const entries = [...latest].map(([event, [data]]) => [event, data]);
    return (state ??= { latest: Object.fromEntries(entries), ...facts });
  };

  const change = (changes: Partial<typeof facts>) => {
    facts = { ...facts, ...changes };
    state = undefined;
    for (const { of, call } of handles) call(of(STATE), stateNow());
  };

  const join = () => {
    const asked = (ready = client.subscribe(warehouse, zone));
    const stillAsked = () => asked === ready && handles.size > 0;
    asked.then(
      () => stillAsked() && change({ joined: true }),
      (error: ZonecastError) => {
        if (!stillAsked() || error.code === 'closed') return;
        change({ error });
        if (!isAwaited && ![...handles].some(({ of }) => of(STATE)[0])) onErrorOf(client)(error);
      },
    );
  };

  const keep = (data: unknown, meta: MessageMeta) => {
    const { event, retained } = meta;
    const isKept = !!(retained || latest.get(event)?.[2]);
    latest.delete(event);
    latest.set(event, [data, meta, isKept]);
    if (latest.size > MAX_LATEST) latest.delete(latest.keys().next().value as string);
    change({});
  };

  const stopEvents = client.onAny((data, meta) => {
    const { event } = meta;
    if (meta.room === name) keep(data, meta as MessageMeta);
    else if (!/^(gap|conflated)$/.test(event) || (data as Gap).room !== name) return;
    else if (event === 'gap') change({ missed: data as Gap });
    // All handles' before the first is called: who is added by one of them gets what is kept.
    const runs = [...handles].map(({ of, call }) => [call, of(event, ANY)] as const);
    for (const [call, those] of runs) call(those, data, meta);
  });

  const stopStates = client.onState(({ name }) => {
    const ended = name === 'closed' || name === 'failed';
    if (ended) change({ joined: false, error: undefined });
    else if (name !== 'connected' && facts.joined) change({ joined: false });
    // After the end it waits for another connect().
    if (ended || (name === 'connected' && !facts.error)) join();
  });

  join();
  return {
    name,
    handles,
    state: stateNow,
    ready() {
      isAwaited = true;
      return ready;
    },
    hold(isHeld) {
      held = isHeld;
      return true;
    },
    kept: () => [...latest.values()].filter(([, , isKept]) => isKept) as unknown as Kept[],
    reload() {
      client.unsubscribe(warehouse, zone).catch(() => {}); // it may have been refused
      latest.clear();
      change({ joined: false, missed: undefined, error: undefined });
      join();
      return ready;
    },
    async leave() {
      stopEvents();
      stopStates();
      left();
      if (held || facts.error) return;
      await client.unsubscribe(warehouse, zone).catch((error: ZonecastError) => {
        if (error.code !== 'not_subscribed') throw error;
      });
    },
  };
}

function makeHandle<Events>(shared: SharedRoom<Events>, report: (error: unknown) => void): RoomHandle<Events> {
  const { handles, state } = shared;
  const own = makeListeners(report, () => (handles.has(own) ? shared.kept() : []));
  handles.add(own);
  return {
    room: shared.name,
    get state() {
      return state();
    },
    get latest() {
      return state().latest;
    },
    get joined() {
      return state().joined;
    },
    get missed() {
      return state().missed;
    },
    get error() {
      return state().error;
    },
    get ready() {
      return shared.ready();
    },
    onState: (listener) => own.add(STATE, listener),
    on: (event, listener) => own.add(event, listener as AnyListener),
    once(event, listener) {
      const stop = own.add(event, listener as AnyListener, (data, meta) => {
        stop();
        return (listener as AnyListener)(data, meta);
      });
      return stop;
    },
    off: (event, listener) => own.remove(event, listener as AnyListener),
    onAny: (listener) => own.add(ANY, listener),
    reload: shared.reload,
    leave: () => watch(handles.delete(own) && !handles.size ? shared.leave() : Promise.resolve(), report),
  };
}
