import type { Connection } from './connection.js';
import { ZonecastError } from './errors.js';
import type { Position } from './events.js';
import { makeMembership, type Membership } from './membership.js';
import type { Settings } from './options.js';
import { formatRoom, parseRoom, type Room } from './room.js';

/**
 * How many characters of rooms go into the URL of a WebSocket, which proxies limit. The others are
 * joined by frames.
 */
const MAX_CURSOR = 4096;

/**
 * All rooms that the client wants to be in. They stay when a connection ends, and the next one
 * joins them again, each from its own offset:
 *
 *     query() ─▶ the connection's URL ─▶ joined()     those that the server joined us to
 *     subscribe() ─▶ join ◀─ joined()                 the others, by a frame or by a new query
 *                     ├─ ack ─▶ in the room
 *                     ├─ transient error ─▶ join later
 *                     └─ refused ─▶ forgotten
 */
export interface Memberships {
  /** The membership of a room by its text form. */
  get(name: unknown): Membership | undefined;
  all(): Membership[];
  /**
   * The rooms as parameters of a URL, some of them empty: those of the options, and those that the
   * server has joined us to before. It may refuse one of the others, and with it the query; so
   * there is one of these at a time, and only where frames can't ask for it.
   */
  query(subscribesByFrame: boolean): string[];
  /** The server has joined a connection to rooms. Those that are missing are asked for. */
  joined(connection: Connection, rooms: Position[]): void;
  /** The server refused a query. Returns whether the next one asks for less. */
  refused(error: ZonecastError): boolean;
  /** The connection is gone. With an error there is none to come, and subscribers are told it. */
  disconnected(error?: ZonecastError): void;
  /** Resolves when the server has joined us, on this connection or a later one. */
  subscribe(room: Room): Promise<Position>;
  /** Forgets a room at once. Resolves when the server sends nothing of it any more. */
  unsubscribe(room: Room): Promise<void>;
}

export function makeMemberships({ initialRooms, keepOffsets, store, onError }: Settings): Memberships {
  const memberships = new Map<unknown, Membership>();
  /** The connection that is established, if there is one. */
  let connection: Connection | undefined;
  /** Resolve the unsubscribes that wait for an answer, or for the end of the connection. */
  const unsubscribing: (() => void)[] = [];

  const add = (room: Room) => {
    const membership = makeMembership(room, keepOffsets ? store : undefined);
    memberships.set(membership.name, membership);
    return membership;
  };

  const missing = () => [...memberships.values()].filter(({ joined }) => !joined);

  const forget = (membership: Membership, error: ZonecastError) => {
    memberships.delete(membership.name);
    if (!membership.reject(error)) onError(error);
  };

  const join = (membership: Membership) => {
    const on = connection;
    const { room, name } = membership;
    const wanted = () => memberships.get(name) === membership;
    if (!on || !wanted()) return;
    on.request(
      'subscribe',
      { ...room, offset: membership.offset() },
      (error, data) => {
        if (!error) membership.confirm(Object(data));
        else if (!on.retry(error, () => join(membership)) && wanted()) forget(membership, error);
      },
    );
  };

  initialRooms.forEach(add);
  return {
    get: (name) => memberships.get(name),
    all: () => [...memberships.values()],

    query(subscribesByFrame) {
      let initial = '';
      const others: string[] = [];
      const cursor: string[] = [];
      let mayAdd = !subscribesByFrame && !!connection;
      for (const membership of memberships.values()) {
        const { room, name, joined } = membership;
        const offset = membership.offset();
        if (offset) {
          if (!subscribesByFrame || `${cursor}`.length < MAX_CURSOR) cursor.push(`${name}@${offset}`);
        } else if (initialRooms.includes(room)) {
          // The zone's comes last, and has the warehouse in it.
          initial = `${new URLSearchParams({ ...room })}`;
        } else if (joined || mayAdd) {
          if (!joined) mayAdd = false;
          others.push(`room=${name}`);
        }
      }
      // All characters of rooms and offsets may stand in a query as they are.
      return [initial, ...others, cursor[0] ? `cursor=${cursor}` : ''];
    },

    joined(on, rooms) {
      connection = on;
      for (const position of rooms) {
        const name = position.room;
        const membership = memberships.get(name);
        membership?.confirm(position);
        // It was unsubscribed from while the connection was being made.
        if (!membership) on.request('unsubscribe', parseRoom(name), () => {});
      }
      for (const membership of missing()) {
        // The server leaves out the warehouse's room where the token permits the zone alone. Asked
        // again it would do the same.
        if (initialRooms.includes(membership.room) && !on.subscribesByFrame())
          forget(membership, new ZonecastError('forbidden', `${membership.name}: not permitted`));
        else join(membership);
      }
    },

    refused(error) {
      const [first] = missing();
      if (first) forget(first, error);
      return !!first;
    },

    disconnected(error) {
      connection = undefined;
      for (const done of unsubscribing.splice(0)) done();
      for (const membership of memberships.values()) {
        membership.joined = false;
        if (error) membership.reject(error);
      }
    },

    subscribe(room) {
      const known = memberships.get(formatRoom(room));
      const membership = known ?? add(room);
      const joined = membership.whenJoined();
      if (!known) join(membership);
      return joined;
    },

    async unsubscribe(room) {
      const name = formatRoom(room);
      const membership = memberships.get(name);
      const error = new ZonecastError('not_subscribed', `${name} is not subscribed to`);
      if (!membership) throw error;
      memberships.delete(name);
      store.set(name, '');
      membership.reject(error);
      const on = connection;
      if (!on) return;
      await new Promise<void>((done, reject) => {
        if (on.subscribesByFrame()) unsubscribing.push(done);
        else done();
        on.request(
          'unsubscribe',
          room,
          // With this error the server never joined us.
          (problem) => (problem && problem.code !== error.code ? reject(problem) : done()),
        );
      });
    },
  };
}
