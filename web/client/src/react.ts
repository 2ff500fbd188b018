/**
 * Zonecast in React: what a client is doing, and what a zone's room says, as state of a component.
 *
 *     const client = createWebSocketClient({ … });     // one for the page, outside of components
 *     const { name } = useConnectionState(client);
 *     const { latest, missed } = useZone(client, 'warehouse-1', 'zone-a');
 *
 * @packageDocumentation
 */
import { useEffect, useRef, useState, useSyncExternalStore } from 'react';
import type { ZonecastClient } from './client.js';
import type { ZonecastError } from './errors.js';
import type { Gap, MessageMeta, WellKnownEvents } from './events.js';
import type { State } from './state.js';

/** What is known of a room. It is another object whenever something changes. */
export interface ZoneView<Events = WellKnownEvents> {
  /** The data of the newest event of each name, the retained ones included. */
  readonly latest: { readonly [Name in keyof Events]?: Events[Name] };
  /** Whether the server has let us into the room. */
  readonly joined: boolean;
  /** The newest gap: what is shown may be out of date. Undefined when nothing is missing. */
  readonly missed?: Gap;
  /** Why the server does not let us in. */
  readonly error?: ZonecastError;
}

/** Hears every event of a room, also those that come between two renderings. */
export type ZoneListener = (data: unknown, meta: MessageMeta) => unknown;

/** The client's state; the component renders again when it changes. */
export function useConnectionState<Events>(client: ZonecastClient<Events>): State {
  const state = () => client.state;
  return useSyncExternalStore(client.onState, state, state);
}

/** The states in which there is no connection and none to come. */
const INACTIVE = new Set<State['name']>(['idle', 'failed', 'closed']);

/**
 * The room of a zone, or without a zone that of the warehouse. It is joined while a component shows
 * it, as soon as the client is connected, and left with the last of them, unless it was joined
 * without them. `listener` hears each event.
 */
export function useZone<Events>(
  client: ZonecastClient<Events>,
  warehouse: string,
  zone?: string,
  listener?: ZoneListener,
): ZoneView<Events> {
  const room = zone ? `zone:${warehouse}:${zone}` : `warehouse:${warehouse}`;
  const [view, setView] = useState<ZoneView<Events> & { room: string }>({ room, latest: {}, joined: false });
  const currentListener = useRef(listener);
  useEffect(() => {
    currentListener.current = listener;
  });

  const active = !INACTIVE.has(useConnectionState(client).name);
  useEffect(() => {
    if (!active) return undefined;
    const change = (changes: Partial<ZoneView<Events>>) =>
      setView((before) => ({ ...(before.room === room ? before : { room, latest: {}, joined: false }), ...changes }));
    const removeListener = client.onAny((data, meta) => {
      if (meta.room === room) {
        const { event } = meta;
        setView((before) => {
          const { latest, joined, missed } = before.room === room ? before : { latest: {}, joined: true };
          return { room, joined, ...(missed && { missed }), latest: { ...latest, [event]: data } };
        });
        return currentListener.current?.(data, meta);
      }
      const gap = data as Gap | null;
      if (meta.event === 'gap' && gap?.room === room) change({ missed: gap });
      return undefined;
    });
    const releaseRoom = retainRoom(client, room);
    let shown = true; // StrictMode shows a component, takes it away and shows it again
    client.subscribe(warehouse, zone).then(
      () => shown && change({ joined: true }),
      (error: ZonecastError) => shown && error.code !== 'closed' && change({ error, joined: false }),
    );
    return () => {
      shown = false;
      removeListener();
      releaseRoom();
      setView((before) => ({ ...before, joined: false }));
    };
  }, [client, room, warehouse, zone, active]);
  return view.room === room ? view : { latest: {}, joined: false };
}

/** How many components show a room of a client; for a room that was there before them, one more. */
const userCounts = new WeakMap<object, Map<string, number>>();

/**
 * Counts a component as a user of the room. Returns what releases it; with the last user the room
 * is left.
 */
function retainRoom<Events>(client: ZonecastClient<Events>, room: string): () => void {
  const counts = userCounts.get(client) ?? new Map<string, number>();
  userCounts.set(client, counts);
  const before = counts.get(room) ?? (client.rooms.includes(room) ? 1 : 0);
  counts.set(room, before + 1);
  return () => {
    const left = (counts.get(room) ?? 1) - 1;
    counts.set(room, left);
    if (left > 0) return;
    counts.delete(room);
    const [, warehouse = '', zone] = room.split(':');
    client.unsubscribe(warehouse, zone).catch(() => {}); // it may have been left, or refused
  };
}
