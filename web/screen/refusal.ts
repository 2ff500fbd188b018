import type { ZonecastError } from '../client/src/index.js';

/** Why the server does not let this screen in, for whoever stands before it. */
export interface Refusal {
  title: string;
  /** What the server said; empty when the title says it all. */
  reason: string;
}

/** Puts into words why the client stopped; hasToken says whether the address of the screen held a token. */
export function refusal(error: Pick<ZonecastError, 'code' | 'message' | 'cause'>, hasToken: boolean): Refusal {
  const { cause } = error;
  const said = cause instanceof Error ? cause.message : typeof cause === 'string' ? cause : error.message;
  const reason = `The server says: ${said}.`;
  switch (error.code) {
    case 'unauthenticated':
      return hasToken ? { title: 'This token is not valid', reason } : { title: 'This screen needs a token', reason: '' };
    case 'forbidden':
      return { title: 'This token is for other warehouses', reason };
  }
  return { title: 'The server refuses this screen', reason };
}
