/** What the server says went wrong, in error frames. */
export type ServerErrorCode =
  | 'bad_frame'
  | 'unknown_event'
  | 'invalid_room'
  | 'invalid_event'
  | 'invalid_data'
  | 'invalid_offset'
  | 'too_large'
  | 'not_subscribed'
  | 'idempotency_conflict'
  | 'limit_reached'
  | 'quota_exceeded'
  | 'not_durable'
  | 'durable_unsupported'
  | 'rate_limited'
  | 'unauthenticated'
  | 'forbidden'
  | 'replaced'
  | 'unavailable'
  | 'internal';

/** What the client finds out by itself. */
export type ClientErrorCode =
  /** An option can't be used; the message says what to write instead. */
  | 'invalid_option'
  /** Nothing can be sent now: there is no connection. */
  | 'not_connected'
  /** A connection could not be made, or the server said nothing useful on it. */
  | 'connect_failed'
  /** The connection broke while an answer was awaited; the server may have done what was asked. */
  | 'connection_lost'
  /** No answer came in time; the server may have done what was asked. */
  | 'timeout'
  /** All attempts to reconnect failed, as many as the option maxAttempts permits. */
  | 'gave_up'
  /** As many requests as the option maxPending permits have no answer yet. */
  | 'overflow'
  /** disconnect() was called before the answer came. */
  | 'closed'
  /** The signal of the call was aborted; `cause` is its reason. */
  | 'aborted';

/** A later server may send codes that this version does not list. */
export type ErrorCode = ServerErrorCode | ClientErrorCode | (string & {});

export interface ErrorDetails {
  /** After how many milliseconds trying again may help, as the server said. */
  retryAfter?: number | undefined;
  /** The code with which the connection was closed. */
  closeCode?: number | undefined;
  /** What each transport met in the same try, when there were several. */
  errors?: readonly ZonecastError[] | undefined;
  cause?: unknown;
}

/**
 * Every error of this package: `code` is for programs, `message` says to a person what to change.
 */
export class ZonecastError extends Error {
  declare readonly code: ErrorCode;
  declare readonly retryAfter: number | undefined;
  declare readonly closeCode: number | undefined;
  declare readonly errors: readonly ZonecastError[] | undefined;

  constructor(code: ErrorCode, message: string, details?: ErrorDetails) {
    super(message);
    Object.assign(this, details, { name: 'ZonecastError', code });
  }
}

/** What passes by itself: the same request may succeed a moment later. */
const TRANSIENT = /^(unavailable|rate_limited|internal|connection_lost)$/;

/** Whether trying again may help, by its code or because the server said when. */
export function isTransient({ code, retryAfter }: ZonecastError): boolean {
  return !!retryAfter || TRANSIENT.test(code);
}

/** What will be refused again, however often it is asked for. */
export function isPermanent(code: unknown): code is ErrorCode {
  return /^(invalid_.*|bad_frame|unauthenticated|forbidden|replaced)$/.test(code as string);
}

/** Reads the data of an error frame. */
export function serverError(data: unknown): ZonecastError {
  const { code, message, retryAfter } = (data ?? {}) as Record<string, unknown>;
  return new ZonecastError(`${code ?? 'internal'}`, `${message ?? 'no message'}`, {
    retryAfter: (retryAfter as number) > 0 ? (retryAfter as number) : undefined,
  });
}
