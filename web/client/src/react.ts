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
import type { WellKnownEvents } from './events.js';
import type { RoomState } from './room-handles.js';
import type { State } from './state.js';
import { EMPTY, handleOf, type ZoneListener, useClient, useRoom } from './used.js';

export type { ZoneListener } from './used.js';

/** What is known of a room. It is another object whenever something changes. */
export interface ZoneView<Events = WellKnownEvents> extends RoomState<Events> {
  /** Fetches fresh state: retained events come again, and `missed` and `error` are gone. */
  reload(): void;
}

/** The client's state; the component renders again when it changes. */
export function useConnectionState<Events>(client: ZonecastClient<Events>): State {
  const state = () => client.state;
  return useSyncExternalStore(client.onState, state, state);
}

/** Like useConnectionState; the client is connected as long as a component with this hook is shown. */
export function useConnection<Events>(client: ZonecastClient<Events>): State {
  useEffect(() => useClient(client), [client]);
  return useConnectionState(client);
}

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
  const currentListener = useRef(listener);
  useEffect(() => {
    currentListener.current = listener;
  });

  const subscribe = useCallback(
    (changed: () => void) =>
      useRoom(client, warehouse, zone, changed, (data, meta) => currentListener.current?.(data, meta)),
    [client, warehouse, zone],
  );
  const handle = () => handleOf(client, warehouse, zone);
  const state = useSyncExternalStore<RoomState<Events>>(subscribe, () => handle()?.state ?? EMPTY, () => EMPTY);
  return useMemo(() => ({ ...state, reload: () => void handle()?.reload().catch(() => {}) }), [state, client, warehouse, zone]);
}
