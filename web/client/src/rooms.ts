/**
 * Clients with room handles. Import createWebSocketClient from here in place of '@zonecast/client':
 *
 *     const ws = createWebSocketClient({ url });
 *     const zone = ws.zone('warehouse-1', 'zone-a');      // before or after connect()
 *     zone.on('ZONE_UPDATE', (update) => …);
 *     zone.latest.SHIFT_SNAPSHOT;
 *     zone.leave();
 *
 * @packageDocumentation
 */
import {
  type ClientOptions,
  createClient as createPlainClient,
  createWebSocketClient as createPlainWebSocketClient,
  type Transport,
  type With,
  type ZonecastClient,
} from '@zonecast/client';
import { type Rooms, withRooms } from './room-handles.js';

export { type RoomHandle, type Rooms, type RoomState, withRooms } from './room-handles.js';

/** A client with zone() and warehouse(). */
export type RoomsClient<Events> = ZonecastClient<Events> & Rooms<Events>;

/** As that of '@zonecast/client', with zone() and warehouse(). */
export function createWebSocketClient<Events extends object = {}>(options: ClientOptions): RoomsClient<With<Events>> {
  return withRooms(createPlainWebSocketClient<Events>(options));
}

/** As that of '@zonecast/client', with zone() and warehouse(). */
export function createClient<Events extends object = {}>(
  options: ClientOptions & { transports: readonly Transport[] },
): RoomsClient<With<Events>> {
  return withRooms(createPlainClient<Events>(options));
}
