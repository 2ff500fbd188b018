import { ZonecastError } from './errors.js';
import { matches } from './text.js';

/** What the server sent. Fields that this version does not know are kept and ignored. */
export interface ServerFrame {
  event: string;
  /** The id of the request that it answers. */
  id?: number;
  room?: string;
  offset?: string;
  time?: number;
  /** The room's state from before the client joined: no part of the counting of offsets. */
  retained?: boolean;
  data: unknown;
}

/**
 * Reads one frame from the server, as text or as what its JSON says. Throws a ZonecastError with
 * the code bad_frame.
 */
export function decodeFrame(input: unknown, parse: (text: string) => unknown): ServerFrame {
  let cause: unknown;
  try {
    const frame = (typeof input === 'string' ? parse(input) : input) as ServerFrame;
    if (matches(frame.event, /./)) return frame;
  } catch (error) {
    cause = error;
  }
  throw new ZonecastError('bad_frame', 'no JSON object with an event', { cause });
}

/** Throws for what JSON would turn into null, {} or nothing without a word. */
function refuseSilentLoss(key: string, value: unknown): unknown {
  // A Map, a RegExp, a Promise … show none of what they hold; typed arrays show it as an object.
  const isEmpty = (object: object) => ![Object, Array, undefined].includes(object.constructor as never) && !Object.keys(object)[0];
  const lost = {
    number: !Number.isFinite(value),
    object: value && (ArrayBuffer.isView(value) || isEmpty(value as object)),
    function: true,
    symbol: true,
  };
  if (lost[typeof value as keyof typeof lost]) throw Error(`${key} is ${String(value)}`);
  return value;
}

/**
 * Writes one frame to the server. Throws a ZonecastError with the code invalid_data when data has
 * no JSON form, or one that says something else.
 */
export function encodeFrame(event: string, data: unknown, id?: number): string {
  try {
    return JSON.stringify({ event, data, id }, refuseSilentLoss);
  } catch (cause) {
    throw new ZonecastError('invalid_data', `data has no JSON form: ${cause}`, { cause });
  }
}
