/**
 * The ways a connection ends, by the names that the server's log and metrics use too. 1000 to 1015 are those of RFC 6455,
 * section 7.4.1; 4000 to 4999 are Zonecast's own.
 */
export const CloseCode = {
  /** The server lost sight of this client, or an operator disconnected it. */
  going_away: 1001,
  /** The client sent a frame over the limit. */
  too_big: 1009,
  /** This instance is leaving; another one or its successor is there. */
  restart: 1012,
  /** The client keeps sending what is not the protocol. */
  bad_frame: 4400,
  /** No valid token, or it expired. */
  unauthenticated: 4401,
  /** The token does not permit what was asked for. */
  forbidden: 4403,
  /** More waited for this client than the server keeps. The client resumes from its last offsets. */
  slow_consumer: 4408,
  /** A limit of connections or messages was reached. */
  limit_reached: 4429,
} as const;

export type CloseCode = (typeof CloseCode)[keyof typeof CloseCode];

/** The name of a close code; undefined for one that is not Zonecast's. */
export function closeName(code: number): keyof typeof CloseCode | undefined {
  return (Object.keys(CloseCode) as (keyof typeof CloseCode)[]).find((name) => CloseCode[name] === code);
}

/** Whether a client comes back by itself after this code. After the others it would meet the same end again. */
export function reconnectsAfter(code: number): boolean {
  switch (code) {
    case CloseCode.too_big:
    case CloseCode.bad_frame:
    case CloseCode.unauthenticated:
    case CloseCode.forbidden:
      return false;
  }
  return true;
}
