/**
 * Zonecast in React: what a client is doing, and what a zone's room says, as state of a component.
 *
 *     const client = createWebSocketClient({ … });              // one for the page, outside of components
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

/**
 * The room of a zone, or without a zone that of the warehouse. It is joined while a component shows it, as soon as the client is
 * connected, and left with the last of them, unless it was joined without them. `listener` hears each event.
 */
export function useZone<Events>(
  client: ZonecastClient<Events>,
  warehouse: string,
  zone?: string,
  listener?: ZoneListener,
): ZoneView<Events> {
  const room = zone ? `zone:${warehouse}:${zone}` : `warehouse:${warehouse}`;
  const [seen, setSeen] = useState<ZoneView<Events> & { room: string }>({ room, latest: {}, joined: false });
  const heard = useRef(listener);
  useEffect(() => {
    heard.current = listener;
  });

  const active = !/^(idle|failed|closed)$/.test(useConnectionState(client).name);
  useEffect(() => {
    if (!active) return undefined;
    const change = (changes: Partial<ZoneView<Events>>) =>
      setSeen((before) => ({ ...(before.room === room ? before : { room, latest: {}, joined: false }), ...changes }));
    const stop = [
      client.onAny((data, meta) => {
        if (meta.room === room) {
          const { event } = meta;
          setSeen((before) => {
            const { latest, joined, missed } = before.room === room ? before : { latest: {}, joined: true };
            return { room, joined, ...(missed && { missed }), latest: { ...latest, [event]: data } };
          });
          return heard.current?.(data, meta);
        }
        const gap = data as Gap | null;
        if (meta.event === 'gap' && gap?.room === room) change({ missed: gap });
        return undefined;
      }),
      share(client, room),
    ];
    client.subscribe(warehouse, zone).then(
      () => change({ joined: true }),
      (error: ZonecastError) => {
        if (error.code !== 'closed') change({ error, joined: false });
      },
    );
    return () => {
      for (const end of stop) end();
      setSeen((before) => ({ ...before, joined: false }));
    };
  }, [client, room, warehouse, zone, active]);
  return seen.room === room ? seen : { latest: {}, joined: false };
}

/** How many components show a room of a client; for a room that was there before them, one more. */
const shown = new WeakMap<object, Map<string, number>>();

/** Counts a component in. Returns what counts it out, and leaves the room with the last. */
function share<Events>(client: ZonecastClient<Events>, room: string): () => void {
  const counts = shown.get(client) ?? new Map<string, number>();
  shown.set(client, counts);
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
