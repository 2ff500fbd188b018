import { ZonecastError } from './errors.js';

/** What the server sent. Fields that this version does not know are kept and ignored. */
export interface ServerFrame {
  event: string;
  /** Of the request that it answers. */
  id?: number;
  room?: string;
  offset?: string;
  time?: number;
  /** It was published before we came to the room, and is no part of the counting of offsets. */
  retained?: boolean;
  data: unknown;
}

/** Reads one frame from the server. Throws a ZonecastError with the code bad_frame. */
export function decodeFrame(text: unknown): ServerFrame {
  if (typeof text !== 'string') throw new ZonecastError('bad_frame', 'the server sent a frame that is not text');
  let frame: Partial<ServerFrame> | null;
  try {
    frame = JSON.parse(text) as Partial<ServerFrame> | null;
  } catch (cause) {
    throw new ZonecastError('bad_frame', 'the server sent a frame that is not JSON', { cause });
  }
  if (typeof frame?.event !== 'string' || frame.event === '')
    throw new ZonecastError('bad_frame', 'the server sent a frame without an event');
  return frame as ServerFrame;
}

/** Writes one frame to the server. Throws a ZonecastError with the code invalid_data when data has no JSON form. */
export function encodeFrame(event: string, data: unknown, id?: number): string {
  try {
    return JSON.stringify({ event, data, id });
  } catch (cause) {
    throw new ZonecastError('invalid_data', `data has no JSON form: ${String(cause)}`, { cause });
  }
}
