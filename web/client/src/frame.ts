import { ZonecastError } from './errors.js';
import { refuseSilentLoss } from './lossless.js';
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
  throw new ZonecastError('bad_frame', 'no event', { cause });
}

/**
 * Writes one frame to the server. Throws a ZonecastError with the code invalid_data when data has
 * no JSON form, or one that says something else.
 */
export function encodeFrame(event: string, data: unknown, id?: number): string {
  try {
    return JSON.stringify({ event, data, id }, refuseSilentLoss);
  } catch (cause) {
    throw new ZonecastError('invalid_data', `no JSON form: ${cause}`, { cause });
  }
}
