import { type ErrorCode, ZonecastError } from './errors.js';

/** Whether the value is text of this form. */
export function matches(value: unknown, form: RegExp): value is string {
  return typeof value === 'string' && form.test(value);
}

/** Throws a ZonecastError that says what the value is and what it must be, unless it is all right. */
export function must(ok: boolean, code: ErrorCode, name: string, value: unknown, expected: string): asserts ok {
  if (ok) return;
  const shown = typeof value === 'string' ? `"${value}"` : String(value);
  throw new ZonecastError(code, `${name} is ${shown}: it must be ${expected}`);
}
