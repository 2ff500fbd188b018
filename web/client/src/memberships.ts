import type { Connection } from './connection.js';
import { ZonecastError } from './errors.js';
import type { Position } from './events.js';
import { makeMembership, type Membership } from './membership.js';
import type { Settings } from './options.js';
import { formatRoom, parseRoom, type Room } from './room.js';

/** How many characters of rooms go into the address of a WebSocket, which proxies limit. The others are joined by frames. */
const MAX_QUERY = 4096;

/**
 * All rooms that the client wants to be in. They stay when a connection ends, and the next one joins them again, each from its
 * own offset:
 *
 *     query() ─▶ the connection's address ─▶ joined()       those that the server put us into
 *     subscribe() ─▶ join ◀─ joined()                       the others, by a frame, or one by one by asking again
 *                     │ ack ─▶ in the room       │ refused for now ─▶ join later       │ refused ─▶ forgotten
 */
export interface Memberships {
  membershipOf(room: unknown): Membership | undefined;
  roomNames(): string[];
  /**
   * The rooms as parameters of an address, some of them empty: those of the options, and those that the server has let us into before. Of the
   * others it may refuse one, and with it the query; so there is one at a time, and only where frames can't ask for it.
   */
  query(byFrames: boolean): string[];
  /** The server has joined a connection to rooms. Those that are missing are asked for. */
  joined(connection: Connection, rooms: Position[]): void;
  /** The server refused a query. Returns whether there is less to ask for now. */
  refused(error: ZonecastError): boolean;
  /** The connection is gone. With an error there is none to come, and who waits to get into a room is told so. */
  disconnected(error?: ZonecastError): void;
  /** Resolves when the server let us in, on this connection or a later one. */
  subscribe(target: Room): Promise<Position>;
  /** Forgets a room at once. Resolves when the server sends nothing of it any more. */
  unsubscribe(target: Room): Promise<void>;
}

export function makeMemberships({ ownRooms, keepOffsets, store, onError }: Settings): Memberships {
  const memberships = new Map<unknown, Membership>();
  /** The connection that has said `connected`, if there is one. */
  let connection: Connection | undefined;
  /** Who waits for the answer to an unsubscribe, or for the end of the connection. */
  let leaving: (() => void)[] = [];

  const remember = (target: Room) => {
    const membership = makeMembership(target, keepOffsets ? store : undefined);
    memberships.set(membership.room, membership);
    return membership;
  };

  const missing = () => [...memberships.values()].filter(({ inside }) => !inside);

  const refuse = (membership: Membership, error: ZonecastError) => {
    memberships.delete(membership.room);
    if (!membership.refuse(error)) onError(error);
  };

  const join = (membership: Membership) => {
    const on = connection;
    const { target, room } = membership;
    const wanted = () => memberships.get(room) === membership;
    if (!on || !wanted()) return;
    if (!on.byFrames()) return on.renew();
    on.request(
      'subscribe',
      { ...target, offset: membership.reached() },
      (data) => membership.enter((data as Position | null)?.offset),
      (error) => on.retry(error, () => join(membership)) || (wanted() && refuse(membership, error)),
    );
  };

  ownRooms.forEach(remember);
  return {
    membershipOf: (room) => memberships.get(room),
    roomNames: () => [...memberships.values()].map(({ room }) => room),

    query(byFrames) {
      let anew = '';
      const others: string[] = [];
      const cursor: string[] = [];
      let added = byFrames || !connection;
      for (const membership of memberships.values()) {
        const { room, target, inside } = membership;
        const offset = membership.reached();
        if (offset) {
          if (!byFrames || `${cursor}`.length < MAX_QUERY) cursor.push(`${room}@${offset}`);
        } else if (ownRooms.includes(target)) {
          anew = `${new URLSearchParams({ ...target })}`; // the zone's comes last, and has the warehouse in it
        } else if (inside || !added) {
          added ||= !inside;
          others.push(`room=${room}`);
        }
      }
      // Everything in rooms and offsets may stand in a query as it is.
      return [anew, ...others, cursor[0] ? `cursor=${cursor}` : ''];
    },

    joined(on, rooms) {
      connection = on;
      for (const { room, offset } of rooms) {
        const membership = memberships.get(room);
        if (!membership?.inside) membership?.enter(offset);
        // It was unsubscribed from while the connection was being made.
        if (!membership && on.byFrames()) on.request('unsubscribe', parseRoom(room), () => {}, () => {});
      }
      missing().forEach(join);
    },

    refused(error) {
      const [first] = missing();
      if (first) refuse(first, error);
      return !!first;
    },

    disconnected(error) {
      connection = undefined;
      for (const done of leaving) done();
      leaving = [];
      for (const membership of memberships.values()) {
        membership.inside = false;
        if (error) membership.refuse(error);
      }
    },

    subscribe(target) {
      const known = memberships.get(formatRoom(target));
      const membership = known ?? remember(target);
      const entered = membership.entered();
      if (!known) join(membership);
      return entered;
    },

    async unsubscribe(target) {
      const room = formatRoom(target);
      const membership = memberships.get(room);
      const error = new ZonecastError('not_subscribed', `${room} is not subscribed to`);
      if (!membership) throw error;
      memberships.delete(room);
      store.set(room);
      membership.refuse(error);
      connection?.renew();
      const on = connection;
      if (!on?.byFrames()) return;
      await new Promise<void>((done, reject) => {
        leaving.push(done);
        // With this error we never got into the room.
        on.request('unsubscribe', target, () => done(), (problem) => (problem.code === error.code ? done() : reject(problem)));
      });
    },
  };
}
