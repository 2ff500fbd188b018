import { backoff } from './backoff.js';
import type { Connection } from './connection.js';
import { ZonecastError } from './errors.js';
import type { Connected, Gap, Position } from './events.js';
import { Membership } from './membership.js';
import type { Settings } from './options.js';
import { Deferred } from './promise.js';
import { formatRoom, type Room } from './room.js';

/** What the server may be able to do a little later. */
const PASSING = /^(unavailable|rate_limited|internal)$/;

/**
 * All rooms that the client wants to be in. They stay when a connection ends, and are joined again on the next one, each from
 * its own offset:
 *
 *     subscribe() ─▶ #join ◀─ connected() ◀─ new connection
 *                     │ ack ─▶ in the room       │ refused for now ─▶ #join later       │ refused ─▶ forgotten
 */
export class Memberships {
  readonly #settings: Settings;
  readonly #onGap: (gap: Gap) => void;
  readonly #rooms = new Map<string, Membership>();
  /** The connection that has said `connected`, if there is one. */
  #connection: Connection | undefined;

  constructor(settings: Settings, onGap: (gap: Gap) => void) {
    this.#settings = settings;
    this.#onGap = onGap;
    for (const room of settings.rooms) this.#remember(new Membership(room));
  }

  get(room: unknown): Membership | undefined {
    return this.#rooms.get(room as string);
  }

  /** A connection is ready. The server has joined it to the rooms of its address, if it had any. */
  connected(connection: Connection, joined: Connected['rooms']): void {
    this.#connection = connection;
    for (const { room, offset } of joined) {
      const membership = this.get(room);
      if (membership) this.#entered(membership, offset, false);
      else this.#decline(room);
    }
    for (const membership of this.#rooms.values()) if (!membership.inside) this.#join(membership);
  }

  /** The connection is gone. With an error there is none to come, and who waits to get into a room is told so. */
  disconnected(error?: ZonecastError): void {
    this.#connection = undefined;
    for (const membership of this.#rooms.values()) membership.leave(error);
  }

  /** Resolves when the server let us in, on this connection or a later one. */
  async subscribe(target: Room): Promise<Position> {
    const known = this.get(formatRoom(target));
    if (known?.inside) return known.position;
    const membership = known ?? this.#remember(new Membership(target));
    const entry = (membership.entry ??= new Deferred());
    if (!known) this.#join(membership);
    return entry.promise;
  }

  async unsubscribe(target: Room): Promise<void> {
    const room = formatRoom(target);
    const membership = this.get(room);
    if (!membership) throw new ZonecastError('not_subscribed', `${room} was not subscribed to`);
    this.#rooms.delete(room);
    membership.refuse(new ZonecastError('not_subscribed', `unsubscribe() came before the answer about ${room}`));
    const connection = this.#connection;
    if (!connection) return;
    await new Promise<void>((resolve, reject) => {
      const ack = () => resolve();
      const fail = (error: ZonecastError) => {
        // Without the connection we are in no room; in the second case we never got into this one.
        if (connection.ended || error.code === 'not_subscribed') return ack();
        if (!this.#rooms.has(room)) this.#remember(membership);
        reject(error);
      };
      connection.request('unsubscribe', target, { ack, fail });
    });
  }

  #join(membership: Membership): void {
    const connection = this.#connection;
    const { offset, target, room } = membership;
    const wanted = () => this.get(room) === membership;
    if (!connection || !wanted()) return;
    connection.request(
      'subscribe',
      { ...target, offset },
      {
        ack: (data) => this.#entered(membership, (data as Position | null)?.offset, offset !== undefined),
        fail: (error) => {
          if (connection.ended || !wanted()) return;
          if (error.code === 'invalid_offset' && offset !== undefined) {
            membership.abandonOffset();
            this.#join(membership);
          } else if (error.retryAfter !== undefined || PASSING.test(error.code)) {
            const pause = backoff(1, this.#settings.backoffBase, this.#settings.backoffCap);
            connection.after((error.retryAfter ?? 0) + pause, () => this.#join(membership));
          } else {
            this.#rooms.delete(room);
            if (!membership.refuse(error)) this.#settings.onError(error);
          }
        },
      },
    );
  }

  /** Leaves a room of the options that was unsubscribed from while the connection was being made. */
  #decline(room: string): void {
    const target = this.#settings.rooms.find((own) => formatRoom(own) === room);
    if (target) this.#connection?.request('unsubscribe', target, { ack() {}, fail() {} });
  }

  #entered(membership: Membership, newest: unknown, resuming: boolean): void {
    const gap = membership.enter(newest, resuming);
    if (gap) this.#onGap(gap);
  }

  #remember(membership: Membership): Membership {
    this.#rooms.set(membership.room, membership);
    return membership;
  }
}
