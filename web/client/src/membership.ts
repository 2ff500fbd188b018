import type { Gap, Position } from './events.js';
import type { ServerFrame } from './frame.js';
import type { Kept } from './listeners.js';
import { isAtOrBefore, type Offset, parseOffset } from './offset.js';
import { makeWaiters } from './promise.js';
import { formatRoom, type Room } from './room.js';
import type { Store } from './store.js';

/**
 * A room that the client is in, or wants to be in, and its offset there. It outlives connections:
 * after a reconnect the server is asked to resume from that offset.
 *
 *     confirm(newest) ─▶ accept(message) … ─▶ connection ends
 *        ─▶ joined again with offset ─▶ confirm(newest) ─▶ accept(missed) …
 */
export interface Membership {
  readonly room: Room;
  /** The text form of the room. */
  readonly name: string;
  /** Whether the current connection is in the room. */
  joined: boolean;
  /** What late listeners get: the newest event of each name that ever came retained. */
  readonly kept: Map<string, Kept>;
  /**
   * Where to resume from; undefined before anything is known of the room. It ends in ".retained" until
   * all retained events have come.
   */
  offset(): string | undefined;
  /** Resolves when the client is in the room. */
  whenJoined(): Promise<Position>;
  /**
   * The server joined the client to the room, whose newest offset this is. A membership that has an
   * offset keeps it: the messages after it are still to come.
   */
  confirm(newest: Partial<Position>): void;
  /** The client won't get in. Returns how many waited for it. */
  reject(error: Error): number;
  /**
   * Messages up to `to` will not come. It may lie behind: then the server lost what it had, and
   * gives its offsets again. Returns false when the offset is there already.
   */
  skipTo(to: unknown): boolean;
  /**
   * Moves the offset to that of a message; of a retained one, notes that it came. Returns "duplicate" for one that
   * listeners had already; else the hole before it if there is one, which the server should have
   * announced itself.
   */
  accept(message: ServerFrame): Gap | 'duplicate' | undefined;
}

/** With a store, the offset is kept there for the next page. */
export function makeMembership(room: Room, store: Store | undefined): Membership {
  const name = formatRoom(room);
  const waiters = makeWaiters<Position>();
  /** Nothing up to here is owed to the client any more. */
  let current: Offset | undefined = parseOffset(store?.get(name));
  /** How many retained events are still to come. */
  let owed = 0;

  const moveTo = (offset: Offset | undefined) => {
    current = offset;
    // While retained events are owed this is no offset to the next page, which then joins anew.
    store?.set(name, `${membership.offset()}`);
  };

  const membership: Membership = {
    room,
    name,
    joined: false,
    kept: new Map(),
    offset: () => current && current.form + (owed > 0 ? '.retained' : ''),
    whenJoined() {
      const joined = waiters.wait();
      if (membership.joined) membership.confirm({ retained: owed });
      return joined;
    },
    confirm({ offset, retained = 0 }) {
      membership.joined = true;
      owed = retained;
      if (!current) membership.skipTo(offset);
      waiters.settle({ room: name, offset: current?.form } as Position);
    },
    reject: (error) => waiters.settle(undefined, error),
    skipTo(to) {
      const offset = parseOffset(to);
      if (!offset || offset.form === current?.form) return false;
      moveTo(offset);
      return true;
    },
    accept({ offset: text, retained }) {
      if (retained) {
        owed--;
        moveTo(current);
        return undefined;
      }
      const offset = parseOffset(text);
      // What comes before the confirmation is left over from an earlier time in the room.
      if (!offset || !membership.joined) return undefined;
      if (isAtOrBefore(offset, current)) return 'duplicate';
      const from = current?.form;
      moveTo(offset);
      const to = `${offset.epoch}-${offset.n - 1n}`;
      return from && from !== to ? { room: name, from, to } : undefined;
    },
  };
  return membership;
}
