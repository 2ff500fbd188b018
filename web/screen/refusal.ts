import type { ZonecastError } from '../client/src/index.js';
import type { Words } from './words.js';

/** Why the server does not let this screen in, for whoever stands before it. */
export interface Refusal {
  title: string;
  /** What the server said; empty when the title says it all. */
  reason: string;
}

/** Puts into words why the client stopped; hasToken says whether the address of the screen held a token. */
export function refusal(error: Pick<ZonecastError, 'code' | 'message' | 'cause'>, hasToken: boolean, say: Words): Refusal {
  const { cause } = error;
  const said = cause instanceof Error ? cause.message : typeof cause === 'string' ? cause : error.message;
  const reason = say.serverSays(said);
  switch (error.code) {
    case 'unauthenticated':
      return hasToken ? { title: say.badToken, reason } : { title: say.needsToken, reason: '' };
    case 'forbidden':
      return { title: say.foreignToken, reason };
  }
  return { title: say.refused, reason };
}
