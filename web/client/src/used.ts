import type { ZonecastClient } from './client.js';
import type { MessageMeta } from './events.js';
import { formatRoom } from './room.js';
import { type RoomHandle, type RoomState, withRooms } from './room-handles.js';

/** Hears every event of a room, also those that come between two renderings. */
export type ZoneListener = (data: unknown, meta: MessageMeta) => unknown;

/** What is known of a room before it is joined. */
export const EMPTY: RoomState<any> = { latest: {}, joined: false };

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

const nameOf = (warehouse: string, zone?: string) => formatRoom({ warehouse, ...(zone && { zone }) });

/** Connects the client as long as it has a user. Returns what ends the use. */
export function useClient<Events>(client: ZonecastClient<Events>): () => void {
  const { release } = use(client, 'connection', () => {
    client.connect().catch(() => {}); // the state has the error
    return client.disconnect;
  });
  return release;
}

/** Stays in the room as long as it has a user. Returns what ends the use. */
export function useRoom<Events>(
  client: ZonecastClient<Events>,
  warehouse: string,
  zone: string | undefined,
  changed: (state: RoomState<Events>) => void,
  listener?: ZoneListener,
): () => void {
  const open = () => withRooms(client).zone(warehouse, zone as string);
  const { value: handle, release } = use(client, nameOf(warehouse, zone), open);
  const stops = [handle.onState(changed), handle.onAny((data, meta) => meta.room && listener?.(data, meta)), release];
  return () => stops.forEach((stop) => stop());
}

/** What components use of the room now. */
export function handleOf<Events>(client: ZonecastClient<Events>, warehouse: string, zone?: string) {
  return used.get(client)?.get(nameOf(warehouse, zone))?.value as RoomHandle<Events> | undefined;
}
