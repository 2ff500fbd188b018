import type { ErrorDetails } from './errors.js';

/**
 * The ways a connection ends, by the names that the server's log and metrics use too. 1000 to 1015
 * are those of RFC 6455, section 7.4.1; 4000 to 4999 are Zonecast's own.
 */
export const CloseCode = {
  /** The server lost sight of this client. */
  going_away: 1001,
  /** The client sent a frame over the limit. It comes back without it. */
  too_big: 1009,
  /** This instance is leaving; another one or its successor is there. */
  restart: 1012,
  /** The client keeps sending what is not the protocol. */
  bad_frame: 4400,
  /** No valid token, or it expired. */
  unauthenticated: 4401,
  /** The token does not permit what was asked for. */
  forbidden: 4403,
  /**
   * More waited for this client than the server keeps. The client resumes from its last offsets.
   */
  slow_consumer: 4408,
  /**
   * A newer connection of the same user took this one's place. The client does not come back by
   * itself: the two would replace each other for ever.
   */
  replaced: 4409,
  /** A limit of connections or messages was reached. */
  limit_reached: 4429,
} as const;

export type CloseCode = (typeof CloseCode)[keyof typeof CloseCode];

/** The name of a code. */
export function nameOf(code: number | undefined): keyof typeof CloseCode | undefined {
  return (Object.keys(CloseCode) as (keyof typeof CloseCode)[]).find((name) => CloseCode[name] === code);
}

/** The problem and its details, for a transport whose connection the server closed. */
export function closedByServer(closeCode: number, reason: string, cause?: unknown): [string, ErrorDetails] {
  return [`closed with code ${closeCode}${reason && ` ${reason}`}`, { closeCode, cause }];
}
