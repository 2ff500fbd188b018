import {
  type ClientOptions,
  type Connected,
  formatRoom,
  type Position,
  type Room,
  type WebStorage,
  ZonecastError,
  type ZonecastClient,
} from '@zonecast/client';
import type { ErrorDetails } from './errors.js';
import { isAtOrBefore, parseOffset } from './offset.js';

/** What a tab tells the leader. `tab` names one dial of one client: the client's id and a number. */
export type ClientMessage =
  /** `isRetry`: the tab's own backoff is over; else somebody wants a connection now. */
  | { readonly kind: 'hello'; readonly tab: string; readonly isRetry?: boolean }
  | { readonly kind: 'bye'; readonly tab: string }
  | { readonly kind: 'send'; readonly tab: string; readonly text: string };

/** What the leader tells tabs. */
export type LeaderMessage =
  /** It leads from now on, or is connected: who waits may dial. */
  | { readonly kind: 'leader' | 'up' }
  | { readonly kind: 'welcome'; readonly to: string; readonly info: Connected; readonly transport: string }
  | { readonly kind: 'frame'; readonly to: readonly string[]; readonly frame: Frame }
  /** The connection is lost, or could not be made. */
  | { readonly kind: 'down'; readonly details: ErrorDetails };

interface Frame {
  readonly event: string;
  readonly id?: number;
  readonly room?: string | undefined;
  readonly offset?: string | undefined;
  readonly time?: number | undefined;
  readonly retained?: boolean | undefined;
  readonly data: any;
}

/** Makes a client of the tab's options and these. */
export type Make = (options: Partial<ClientOptions>) => ZonecastClient<any>;

export interface Leader {
  hear(message: ClientMessage): void;
  close(): void;
}

/** A room that tabs are in. */
interface SharedRoom {
  readonly room: Room;
  readonly name: string;
  /** Whether the upstream client joined it without an offset, and so got what is retained. */
  readonly isFresh: boolean;
  /** Those that want it, and of these the ones that get the upstream client's frames. */
  readonly wanting: Set<string>;
  readonly members: Set<string>;
  /** Those that wait until the upstream client is in the room; then undefined. */
  joining: Join[] | undefined;
  /** How far the upstream client is. */
  offset: string | undefined;
  /** The newest frames, each with the offset that was reached before it. */
  recent: { before: string | undefined; readonly frame: Frame }[];
}

type Join = readonly [tab: string, id: number, offset: string | undefined];

/** So many frames of a room are kept for tabs that are a little behind. */
const MAX_RECENT = 1000;

/** After so many milliseconds on a new connection, rooms that no tab came back to are left. */
const COME_BACK_TIME = 10_000;

/** The offset that is reached with a frame, if it moves one. */
const offsetAfter = ({ event, offset, retained, data }: Frame): string | undefined =>
  event === 'gap' || event === 'conflated' ? data?.to : retained ? undefined : offset;

const roomOf = ({ event, room, data }: Frame) => (event === 'gap' || event === 'conflated' ? data?.room : room);

/**
 * Keeps the connection and serves the tabs, like a server does:
 *
 *     subscribe ─▶ at an offset of `recent` ─────────────▶ member: gets what the upstream client gets
 *        └─▶ without one, or with one too old ─▶ catchUp ──▲
 *
 * catchUp is a client for a moment, since only a join of its own brings what is retained or missed.
 */
export function lead(make: Make, post: (message: LeaderMessage) => void, whenGone: (tab: string, run: () => void) => void): Leader {
  const tabs = new Set<string>();
  const watched = new Set<string>();
  const rooms = new Map<string, SharedRoom>();
  const offsets = new Map<string, string>();
  let catchingUp = Promise.resolve();
  let stopCatchingUp: ((room?: SharedRoom, tab?: string) => void) | undefined;
  let sweeping: ReturnType<typeof setTimeout> | undefined;

  /** A client without rooms that joins where `offsets` says. */
  const open = (offsets: Map<string, string>) =>
    make({ ...NO_ROOMS, autoReconnect: true, maxAttempts: Infinity, maxPending: Infinity, keepOffsets: true, storage: startAt(offsets) });
  const upstream = open(offsets);

  const send = (to: Iterable<string>, frame: Frame) => {
    const names = [...to];
    if (names[0]) post({ kind: 'frame', to: names, frame });
  };
  const acknowledge = (tab: string, id: number, data: unknown) => send([tab], { event: 'ack', id, data });
  const refuse = (tab: string, id: number, { code, message, retryAfter }: ZonecastError) => {
    // The tab has a timeout of its own, and asks again until then.
    const passes = /^(timeout|closed|not_connected|overflow|connect_failed)$/.test(code);
    send([tab], { event: 'error', id, data: { code: passes ? 'unavailable' : code, message, retryAfter } });
  };

  const welcome = (tab: string) => {
    const { state } = upstream;
    if (state.name === 'connected') post({ kind: 'welcome', to: tab, info: state.info, transport: state.transport });
  };

  /** Where a tab that reached this offset goes on in `recent`; undefined when it can't. */
  const placeOf = ({ offset, recent }: SharedRoom, reached: string | undefined) => {
    const [at, newest] = [parseOffset(reached), parseOffset(offset)];
    if (!at || !newest) return undefined;
    if (at.form === newest.form || (at.epoch === newest.epoch && isAtOrBefore(newest, at))) return recent.length;
    const found = recent.findIndex(({ before, frame }) => before === reached && !frame.retained);
    return found < 0 ? undefined : found;
  };

  const addMember = (shared: SharedRoom, tab: string, place: number) => {
    shared.members.add(tab);
    for (const { frame } of shared.recent.slice(place)) send([tab], frame);
  };

  const admit = (shared: SharedRoom, [tab, id, offset]: Join, isFirst: boolean) => {
    if (!shared.wanting.has(tab)) return;
    const seesAll = isFirst && shared.isFresh && !offset;
    const place = seesAll ? 0 : placeOf(shared, offset);
    if (place === undefined) {
      catchingUp = catchingUp.then(() => catchUp(shared, tab, id, offset)).catch((error) => refuse(tab, id, error));
      return;
    }
    acknowledge(tab, id, { room: shared.name, offset: seesAll ? (shared.recent[0]?.before ?? shared.offset) : offset });
    addMember(shared, tab, place);
  };

  /** Serves a tab by a client of its own until it is where the upstream client is. */
  const catchUp = async (shared: SharedRoom, tab: string, id: number, offset: string | undefined) => {
    const { room, name, wanting } = shared;
    if (!wanting.has(tab)) return;
    const client = open(new Map(offset ? [[name, offset]] : []));
    let reached = offset;
    let early: Frame[] | undefined = [];
    let look = () => {};
    const goneAway = new Promise<undefined>((resolve) => {
      stopCatchingUp = (room = shared, gone = tab) => room === shared && gone === tab && resolve(undefined);
    });
    client.onAny((data, meta) => {
      const frame: Frame = { ...meta, data };
      if (roomOf(frame) !== name) return;
      reached = offsetAfter(frame) ?? reached;
      if (early) early.push(frame);
      else send([tab], frame);
      look();
    });
    try {
      client.connect().catch(() => {}); // subscribe() rejects too
      const position = await Promise.race([client.subscribe(room.warehouse, room.zone), goneAway]);
      if (!position) return;
      acknowledge(tab, id, position);
      for (const frame of early) send([tab], frame);
      early = undefined;
      reached ??= position.offset;
      // What is retained comes before the answer.
      await Promise.race([client.echo(), goneAway]);
      const caughtUp = new Promise<void>((resolve) => {
        look = () => {
          if (wanting.has(tab) && placeOf(shared, reached) !== undefined) resolve();
        };
        look();
      });
      await Promise.race([caughtUp, goneAway]);
      const place = placeOf(shared, reached);
      if (wanting.has(tab) && place !== undefined) addMember(shared, tab, place);
    } finally {
      stopCatchingUp = undefined;
      client.disconnect();
    }
  };

  const share = (room: Room, name: string, offset: string | undefined) => {
    const shared: SharedRoom = {
      room,
      name,
      isFresh: !offset,
      wanting: new Set(),
      members: new Set(),
      joining: [],
      offset: undefined,
      recent: [],
    };
    rooms.set(name, shared);
    if (offset) offsets.set(name, offset);
    else offsets.delete(name);
    upstream.subscribe(room.warehouse, room.zone).then(
      (position: Position) => {
        const { joining = [], recent } = shared;
        shared.joining = undefined;
        shared.offset = position.offset;
        for (const entry of recent) {
          entry.before = shared.offset;
          shared.offset = offsetAfter(entry.frame) ?? shared.offset;
        }
        for (const join of joining) admit(shared, join, true);
      },
      (error: ZonecastError) => {
        if (rooms.get(name) === shared) rooms.delete(name);
        for (const [tab, id] of shared.joining ?? []) refuse(tab, id, error);
      },
    );
    return shared;
  };

  const subscribe = (tab: string, id: number, { warehouse, zone, offset }: Room & { offset?: string }) => {
    const room = { warehouse, ...(zone && { zone }) };
    const name = formatRoom(room);
    const shared = rooms.get(name) ?? share(room, name, offset);
    shared.wanting.add(tab);
    const join: Join = [tab, id, offset];
    if (shared.joining) shared.joining.push(join);
    else admit(shared, join, false);
  };

  /** Leaves the room with the last tab that wants it. */
  const leave = (shared: SharedRoom, tab: string) => {
    const { room, name, wanting, members } = shared;
    wanting.delete(tab);
    members.delete(tab);
    stopCatchingUp?.(shared, tab);
    if (wanting.size) return;
    rooms.delete(name);
    upstream.unsubscribe(room.warehouse, room.zone).catch(() => {}); // it may have been refused
  };

  const answer = (tab: string, id: number, event: string, data: any) => {
    const settle = (asked: Promise<unknown>) =>
      asked.then((got) => acknowledge(tab, id, got), (error) => refuse(tab, id, error));
    if (event === 'subscribe') subscribe(tab, id, data);
    else if (event === 'unsubscribe') {
      const room = formatRoom(data);
      const shared = rooms.get(room);
      if (shared) leave(shared, tab);
      acknowledge(tab, id, { room });
    } else if (event === 'publish') settle(upstream.publish(data));
    else settle(upstream.echo(data).then(() => data));
  };

  const remove = (tab: string) => {
    tabs.delete(tab);
    for (const shared of [...rooms.values()]) if (shared.wanting.has(tab)) leave(shared, tab);
  };

  const wake = () => void upstream.connect().catch(() => {}); // the state has the error

  const greet = (tab: string, isRetry: boolean | undefined) => {
    const [id = ''] = tab.split(' ');
    tabs.add(tab);
    welcome(tab);
    // A hidden page may have slept, so its connection is in doubt. The retries of all tabs
    // together would undo the leader's backoff.
    if (!isRetry || upstream.state.name !== 'waiting') wake();
    if (watched.has(id)) return;
    watched.add(id);
    whenGone(id, () => {
      watched.delete(id);
      for (const tab of [...tabs]) if (tab.startsWith(`${id} `)) remove(tab);
    });
  };

  upstream.onAny((data, meta) => {
    const frame: Frame = { ...meta, data };
    if (meta.event === 'heartbeat') return send(tabs, frame);
    const shared = rooms.get(roomOf(frame));
    if (!shared) return;
    shared.recent.push({ before: shared.offset, frame });
    shared.offset = offsetAfter(frame) ?? shared.offset;
    if (!shared.joining && shared.recent.length > MAX_RECENT) shared.recent.shift();
    send(shared.members, frame);
  });

  upstream.onState((state) => {
    if (state.name === 'connected') {
      for (const tab of tabs) welcome(tab);
      post({ kind: 'up' });
      sweeping = setTimeout(() => {
        for (const shared of [...rooms.values()]) leave(shared, '');
      }, COME_BACK_TIME);
    } else if (state.name === 'waiting' || state.name === 'failed') {
      clearTimeout(sweeping);
      tabs.clear();
      stopCatchingUp?.();
      for (const { wanting, members, joining } of rooms.values()) {
        wanting.clear();
        members.clear();
        joining?.splice(0);
      }
      // While it tries again, no tab may take the reason for the end.
      const { code, message, closeCode } = state.error;
      const isOver = state.name === 'failed';
      post({ kind: 'down', details: { cause: { message, ...(isOver && { code }) }, ...(isOver && { closeCode }) } });
    }
  });
  wake();

  return {
    hear(message) {
      const { tab } = message;
      if (message.kind === 'hello') greet(tab, message.isRetry);
      else if (message.kind === 'bye') remove(tab);
      else if (tabs.has(tab)) {
        const { event, id, data } = JSON.parse(message.text);
        answer(tab, id, event, data);
      }
    },
    close() {
      clearTimeout(sweeping);
      stopCatchingUp?.();
      upstream.disconnect();
    },
  };
}

const NO_ROOMS: Partial<ClientOptions> = { warehouse: undefined, zone: undefined } as object;

/** A storage in which rooms have these offsets, and all tabs remember what transport delivered. */
function startAt(offsets: Map<string, string>): WebStorage {
  // A storage that is missing or forbidden throws, which the client takes for an empty one.
  const shared = () => (globalThis as unknown as { localStorage: WebStorage }).localStorage;
  const nameOf = (key: string) => key.slice(key.lastIndexOf(' ') + 1);
  const isTransport = (key: string) => nameOf(key) === 'transport';
  return {
    getItem: (key) => (isTransport(key) ? shared().getItem(key) : (offsets.get(nameOf(key)) ?? null)),
    setItem: (key, value) => isTransport(key) && shared().setItem(key, value),
    removeItem: () => {},
  };
}
