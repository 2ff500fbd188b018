import { matches } from './text.js';

/**
 * The position of a message in its room, "{epoch}-{n}". Within an epoch n counts 1, 2, 3 … without
 * holes; n = 0 stands before the first message.
 */
export interface Offset {
  /** The text form. */
  readonly form: string;
  readonly epoch: string;
  /** The server counts in 63 bits, further than a number is exact. */
  readonly n: bigint;
}

const FORM = /^[a-z0-9]{1,32}-(0|[1-9]\d{0,18})$/;

/** Reads the text form; undefined for what is none. */
export function parseOffset(text: unknown): Offset | undefined {
  if (!matches(text, FORM)) return undefined;
  const [epoch, digits] = text.split('-') as [string, string];
  const n = BigInt(digits);
  return n >> 63n ? undefined : { form: text, epoch, n };
}

/** Whether `a` is `b` or before it. Offsets of different epochs have no order. */
export function isAtOrBefore(a: Offset, b: Offset | undefined): boolean {
  return a.epoch === b?.epoch && a.n <= b.n;
}
