import { assertValid, matches } from './text.js';

/**
 * A whole warehouse, or one zone of it. They are rooms of their own: neither receives what is sent
 * to the other.
 */
export interface Room {
  warehouse: string;
  zone?: string;
}

const NAME = /^[\w.-]{1,64}$/;

/** Returns the room of a zone, or of the whole warehouse when zone is undefined or empty. */
export function makeRoom(warehouse: unknown, zone?: unknown): Room {
  const room = zone === undefined || zone === '' ? { warehouse } : { warehouse, zone };
  for (const [name, value] of Object.entries(room))
    assertValid(matches(value, NAME), 'invalid_room', name, value, '1 to 64 of A-Z a-z 0-9 . _ -');
  return room as Room;
}

/** The text form, as `meta.room` has it: "warehouse:{warehouse}" or "zone:{warehouse}:{zone}". */
export function formatRoom({ warehouse, zone }: Room): string {
  return zone ? `zone:${warehouse}:${zone}` : `warehouse:${warehouse}`;
}

/** Reads the text form. Throws a ZonecastError with the code invalid_room. */
export function parseRoom(text: string): Room {
  const [, warehouse, zone] = text.split(':');
  const room = makeRoom(warehouse, zone);
  assertValid(formatRoom(room) === text, 'invalid_room', 'room', text, 'like zone:w-1:a');
  return room;
}
