import type { Gap, Position } from './events.js';
import { isAtOrBefore, type Offset, parseOffset } from './offset.js';
import { makeWaiters } from './promise.js';
import { formatRoom, type Room } from './room.js';
import type { Store } from './store.js';

/**
 * A room that the client is in, or wants to be in, and how far it got there. It outlives connections: after a reconnect the
 * server is asked to go on from its offset.
 *
 *     enter(newest) ─▶ admit(message) … ─▶ connection ends ─▶ joined again with offset ─▶ enter(newest) ─▶ admit(missed) …
 */
export interface Membership {
  readonly target: Room;
  readonly room: string;
  /** Whether the current connection is in the room. */
  inside: boolean;
  /** Where to resume from. */
  reached(): string | undefined;
  /** Resolves when we are in the room. */
  entered(): Promise<Position>;
  /**
   * The server let us in; `newest` is the room's newest offset. When we have one of our own, the messages after it are still to
   * come, so that one stays.
   */
  enter(newest?: unknown): void;
  /** We won't get in. Returns how many waited for that. */
  refuse(error: Error): number;
  /**
   * What is up to there is not owed to us. It may lie behind: then the server lost what we had, and gives its offsets again.
   * Returns false when we are there already.
   */
  skip(to: unknown): boolean;
  /**
   * Takes note of a message that counts, so of no retained one. Returns false for one that listeners had already; else the hole
   * before it if there is one, which the server should have announced itself.
   */
  admit(offset: unknown): Gap | false | undefined;
}

/** With a store, the offset is kept there for the next page. */
export function makeMembership(target: Room, store: Store | undefined): Membership {
  const room = formatRoom(target);
  const waiters = makeWaiters<Position>();
  /** Nothing up to here is owed to us any more. */
  let position: Offset | undefined = parseOffset(store?.get(room));

  const move = (to: Offset) => {
    position = to;
    store?.set(room, to.form);
    return true;
  };

  const membership: Membership = {
    target,
    room,
    inside: false,
    reached: () => position?.form,
    entered() {
      const entered = waiters.wait();
      if (membership.inside) membership.enter();
      return entered;
    },
    enter(newest) {
      membership.inside = true;
      if (!position) membership.skip(newest);
      waiters.settle(position ? { room, offset: position.form } : { room });
    },
    refuse: (error) => waiters.settle(undefined, error),
    skip(to) {
      const offset = parseOffset(to);
      return !!offset && offset.form !== position?.form && move(offset);
    },
    admit(text) {
      const offset = parseOffset(text);
      // What comes before we are let in is left over from an earlier time in the room.
      if (!offset || !membership.inside) return undefined;
      const from = position?.form;
      if (isAtOrBefore(offset, position)) return false;
      move(offset);
      const to = `${offset.epoch}-${offset.n - 1n}`;
      return from && from !== to ? { room, from, to } : undefined;
    },
  };
  return membership;
}
