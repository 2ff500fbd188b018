import { ZonecastError } from './errors.js';

/** The most characters that the name of a warehouse or a zone may have. */
export const MAX_NAME_LENGTH = 64;

/** A whole warehouse, or one zone of it. They are rooms of their own: neither receives what is sent to the other. */
export interface Room {
  warehouse: string;
  zone?: string;
}

const NAME = /^[A-Za-z0-9._-]+$/;

/** Returns the room of a zone, or of the whole warehouse when zone is undefined or empty. */
export function makeRoom(warehouse: unknown, zone?: unknown): Room {
  checkName('warehouse', warehouse);
  if (zone === undefined || zone === '') return { warehouse };
  checkName('zone', zone);
  return { warehouse, zone };
}

/** The text form, as `meta.room` has it: "warehouse:{warehouse}" or "zone:{warehouse}:{zone}". */
export function formatRoom({ warehouse, zone }: Room): string {
  return zone ? `zone:${warehouse}:${zone}` : `warehouse:${warehouse}`;
}

/** Reads the text form. Throws a ZonecastError with the code invalid_room. */
export function parseRoom(text: string): Room {
  const [kind, warehouse, zone, ...rest] = text.split(':');
  if (kind === 'warehouse' && zone === undefined) return makeRoom(warehouse);
  if (kind === 'zone' && zone && rest.length === 0) return makeRoom(warehouse, zone);
  throw new ZonecastError(
    'invalid_room',
    `${JSON.stringify(text)} is not a room: write warehouse:{warehouse} or zone:{warehouse}:{zone}`,
  );
}

function checkName(what: string, name: unknown): asserts name is string {
  const complain = (problem: string) => new ZonecastError('invalid_room', `${what} ${problem}`);
  if (typeof name !== 'string') throw complain(`is ${name === null ? 'null' : typeof name}: give its name as a string`);
  if (name === '') throw complain(`is missing: give it a name of 1 to ${MAX_NAME_LENGTH} characters`);
  if (name.length > MAX_NAME_LENGTH)
    throw complain(`name has ${name.length} characters: at most ${MAX_NAME_LENGTH} are allowed`);
  if (!NAME.test(name)) throw complain(`name ${JSON.stringify(name)}: only A-Z a-z 0-9 . _ - are allowed`);
}
