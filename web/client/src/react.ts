/**
 * Zonecast in React: what a client is doing, and what a zone's room says, as state of a component.
 *
 *     const client = createWebSocketClient({ … });     // one for the page, outside of components
 *     const { name } = useConnection(client);          // connects while the component is shown
 *     const { latest, missed, reload } = useZone(client, 'warehouse-1', 'zone-a');
 *
 * @packageDocumentation
 */
import { useCallback, useEffect, useMemo, useRef, useSyncExternalStore } from 'react';
import type { ZonecastClient } from './client.js';
import type { MessageMeta, WellKnownEvents } from './events.js';
import { type RoomHandle, type RoomState, withRooms } from './rooms.js';
import type { State } from './state.js';

/** What is known of a room. It is another object whenever something changes. */
export interface ZoneView<Events = WellKnownEvents> extends RoomState<Events> {
  /** Fetches fresh state: retained events come again, and `missed` and `error` are gone. */
  reload(): void;
}

/** Hears every event of a room, also those that come between two renderings. */
export type ZoneListener = (data: unknown, meta: MessageMeta) => unknown;

/** The client's state; the component renders again when it changes. */
export function useConnectionState<Events>(client: ZonecastClient<Events>): State {
  const state = () => client.state;
  return useSyncExternalStore(client.onState, state, state);
}

/** Like useConnectionState; the client is connected as long as a component with this hook is shown. */
export function useConnection<Events>(client: ZonecastClient<Events>): State {
  useEffect(
    () =>
      use(client, 'connection', () => {
        client.connect().catch(() => {}); // the state has the error
        return client.disconnect;
      }).release,
    [client],
  );
  return useConnectionState(client);
}

const EMPTY: RoomState<any> = { latest: {}, joined: false };

/**
 * The room of a zone, or without a zone that of the warehouse. It is joined while a component shows
 * it, as soon as the client is connected, and left with the last of them, unless it was joined
 * without them. All components of a room show the same. `listener` hears each event.
 */
export function useZone<Events>(
  client: ZonecastClient<Events>,
  warehouse: string,
  zone?: string,
  listener?: ZoneListener,
): ZoneView<Events> {
  const room = zone ? `zone:${warehouse}:${zone}` : `warehouse:${warehouse}`;
  const currentListener = useRef(listener);
  useEffect(() => {
    currentListener.current = listener;
  });

  const subscribe = useCallback(
    (changed: () => void) => {
      const { value: handle, release } = use(client, room, () => withRooms(client).zone(warehouse, zone as string));
      const stops = [
        handle.onState(changed),
        handle.onAny((data, meta) => meta.room && currentListener.current?.(data, meta)),
        release,
      ];
      return () => stops.forEach((stop) => stop());
    },
    [client, room, warehouse, zone],
  );
  const handle = () => used.get(client)?.get(room)?.value as RoomHandle<Events> | undefined;
  const state = useSyncExternalStore<RoomState<Events>>(subscribe, () => handle()?.state ?? EMPTY, () => EMPTY);
  return useMemo(() => ({ ...state, reload: () => void handle()?.reload().catch(() => {}) }), [state, client, room]);
}

interface Used {
  value: RoomHandle<any> | (() => void);
  users: number;
}

/** What components of a client use together, by its name. */
const used = new WeakMap<object, Map<string, Used>>();

/**
 * Counts a component as a user of what `open` makes, which is closed with the last one; a moment
 * later, since StrictMode and a change of pages take one away and show the next at once.
 */
function use<T extends Used['value']>(client: object, name: string, open: () => T) {
  const all = used.get(client) ?? new Map<string, Used>();
  used.set(client, all);
  const entry = all.get(name) ?? { value: open(), users: 0 };
  all.set(name, entry);
  entry.users++;
  const release = () =>
    queueMicrotask(() => {
      if (--entry.users) return;
      all.delete(name);
      const { value } = entry;
      if (typeof value === 'function') value();
      else value.leave().catch(() => {}); // the connection may end
    });
  return { value: entry.value as T, release };
}
