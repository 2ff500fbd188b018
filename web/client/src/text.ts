import { type ErrorCode, ZonecastError } from './errors.js';

/** Whether the value is text that matches the pattern. */
export function matches(value: unknown, pattern: RegExp): value is string {
  return typeof value === 'string' && pattern.test(value);
}

/** Throws a ZonecastError that says what the value is and what it must be, unless it is valid. */
export function assertValid(
  valid: unknown,
  code: ErrorCode,
  name: string,
  value: unknown,
  expected: string,
): asserts valid {
  if (valid) return;
  const shown = typeof value === 'string' ? `"${value}"` : String(value);
  throw new ZonecastError(code, `${name} is ${shown}: it must be ${expected}`);
}
