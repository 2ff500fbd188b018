/**
 * Zonecast in Svelte: what a client is doing, and what a zone's room says, as stores.
 *
 *     const client = createWebSocketClient({ … });     // one for the page, outside of components
 *     const connection = connectionStore(client);      // connects while somebody subscribes to it
 *     const zone = zoneStore(client, 'warehouse-1', 'zone-a');
 *     $zone.latest.ZONE_UPDATE?.pickRate
 *
 * @packageDocumentation
 */
import { type Readable, readable } from 'svelte/store';
import type { ZonecastClient } from './client.js';
import type { WellKnownEvents } from './events.js';
import type { RoomState } from './room-handles.js';
import type { State } from './state.js';
import { EMPTY, handleOf, useClient, useRoom, type ZoneListener } from './used.js';

export type { ZoneListener } from './used.js';

export interface ZoneStore<Events = WellKnownEvents> extends Readable<RoomState<Events>> {
  /** Fetches fresh state: retained events come again, and `missed` and `error` are gone. */
  reload(): void;
}

/** Rendered by a server, a store keeps its first value: nothing is connected or joined. */
const isServer = () => !(globalThis as { document?: unknown }).document;

/** The client's state. The client is connected as long as somebody subscribes to such a store. */
export function connectionStore<Events>(client: ZonecastClient<Events>): Readable<State> {
  return readable(client.state, (set) => {
    if (isServer()) return;
    const stops = [client.onState(set), useClient(client)];
    set(client.state);
    return () => stops.forEach((stop) => stop());
  });
}

/**
 * The room of a zone, or without a zone that of the warehouse. It is joined while somebody
 * subscribes to such a store, as soon as the client is connected, and left with the last of them,
 * unless it was joined without them. `listener` hears each event.
 */
export function zoneStore<Events>(
  client: ZonecastClient<Events>,
  warehouse: string,
  zone?: string,
  listener?: ZoneListener,
): ZoneStore<Events> {
  const handle = () => handleOf(client, warehouse, zone);
  const { subscribe } = readable<RoomState<Events>>(EMPTY, (set) => {
    if (isServer()) return;
    const stop = useRoom(client, warehouse, zone, set, listener);
    set(handle()?.state ?? EMPTY);
    return stop;
  });
  return { subscribe, reload: () => void handle()?.reload().catch(() => {}) }; // `error` has it
}
