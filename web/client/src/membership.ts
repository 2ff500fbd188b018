import type { ZonecastError } from './errors.js';
import type { Gap, Position } from './events.js';
import { isAtOrBefore, type Offset, parseOffset } from './offset.js';
import type { Deferred } from './promise.js';
import { formatRoom, type Room } from './room.js';

/**
 * A room that the client is in, or wants to be in, and how far it got there. It outlives connections: after a reconnect the
 * server is asked to go on from its offset.
 *
 *     enter(ack) ─▶ admit(message) … ─▶ leave() ─▶ subscribe with offset ─▶ enter(ack) ─▶ admit(missed message) …
 */
export class Membership {
  readonly target: Room;
  readonly room: string;
  /** Settles when the server let us in; undefined when nobody waits for that. */
  entry: Deferred<Position> | undefined;

  /** Nothing up to here is owed to us any more. */
  #position: Offset | undefined;
  /** The position that the server could not resume from. */
  #abandoned: Offset | undefined;
  #inside = false;

  constructor(target: Room) {
    this.target = target;
    this.room = formatRoom(target);
  }

  /** Whether the current connection is in the room. */
  get inside(): boolean {
    return this.#inside;
  }

  /** Where to resume from. */
  get offset(): string | undefined {
    return this.#position?.text;
  }

  get position(): Position {
    return { room: this.room, ...(this.#position && { offset: this.#position.text }) };
  }

  /** The connection ended. With an error there is none to come. */
  leave(error?: ZonecastError): void {
    this.#inside = false;
    if (error) this.refuse(error);
  }

  /** We won't get in. Returns whether somebody waited for that. */
  refuse(error: ZonecastError): boolean {
    const { entry } = this;
    this.entry = undefined;
    entry?.reject(error);
    return entry !== undefined;
  }

  /** The server does not know our offset: the next join begins at the room's newest message, and reports the hole. */
  abandonOffset(): void {
    this.#abandoned = this.#position;
    this.#position = undefined;
  }

  /**
   * The server let us in; `newest` is the room's newest offset. When we asked to resume, the messages after our own offset
   * are still to come, so that one stays. Returns the hole that abandonOffset left.
   */
  enter(newest: unknown, resuming: boolean): Gap | undefined {
    this.#inside = true;
    if (!resuming) this.#advance(parseOffset(newest));
    this.entry?.resolve(this.position);
    this.entry = undefined;
    const from = this.#abandoned?.text;
    this.#abandoned = undefined;
    if (from === undefined || this.offset === undefined) return undefined;
    return { room: this.room, from, to: this.offset };
  }

  /**
   * The server says that what is up to `to` cannot be recovered. One behind `from` leads back: the room lost its latest
   * messages, and goes on from there.
   */
  skip(gap: { from?: unknown; to?: unknown } | null): void {
    const from = parseOffset(gap?.from);
    const to = parseOffset(gap?.to);
    if (from && to && from.epoch === to.epoch && to.n < from.n) this.#position = to;
    else this.#advance(to);
  }

  /**
   * Takes note of a message that counts, so of no retained one. Returns whether listeners should get it (not when they had it
   * already), and the hole before it if there is one, which the server should have announced itself.
   */
  admit(text: unknown): { deliver: boolean; gap?: Gap } {
    const offset = parseOffset(text);
    if (!offset) return { deliver: true };
    const last = this.#position;
    if (!this.#advance(offset)) return { deliver: false };
    if (!last || !this.#inside) return { deliver: true };
    if (offset.epoch === last.epoch && offset.n === last.n + 1n) return { deliver: true };
    return { deliver: true, gap: { room: this.room, from: last.text, to: `${offset.epoch}-${offset.n - 1n}` } };
  }

  /** Moves the position forward; returns false when it is there already. */
  #advance(to: Offset | undefined): boolean {
    if (!to || isAtOrBefore(to, this.#position)) return false;
    this.#position = to;
    return true;
  }
}
