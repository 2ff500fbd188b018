import type { Limits } from './events.js';
import type { ServerFrame } from './frame.js';
import { dialHTTP } from './http.js';
import type { Transport, TransportHost } from './transport.js';

interface Answer {
  cursor: string;
  messages: ServerFrame[];
  serverTime?: number;
  node?: string;
  limits?: Limits;
  /** The instance is leaving; come back after that many milliseconds. */
  retryAfter?: number;
}

/**
 * How long an answer may take, in milliseconds: as long as the server keeps a request that it has
 * nothing for, and the way.
 */
const ANSWER_TIMEOUT = 35_000;

/** Long polling, for networks through which nothing gets that stays open. */
export const longPolling: Transport = {
  name: 'poll',
  dial: (host) => dialHTTP(host, '/poll', readAnswer),
};

async function readAnswer(response: Response, { received, pause, parse }: TransportHost): Promise<void> {
  const { cursor, messages, serverTime, node, limits, retryAfter } = parse(await response.text()) as Answer;
  // Of a room that is new here and has messages already, these tell the offset. Else the cursor
  // does.
  const rooms = [...cursor.matchAll(/([^,@]+)@([^,]+)/g)].map(([, room, offset]) => {
    const own = messages.filter((message) => message.room === room);
    const retained = own.filter((message) => message.retained).length;
    return { room, retained, ...(retained === own.length && { offset }) };
  });
  const heartbeat = ANSWER_TIMEOUT / 2; // two missed ones end a connection
  received({ event: 'connected', data: { connectionId: '', rooms, heartbeat, serverTime, node, limits } });
  for (const message of messages) received(message);
  if (!retryAfter) return;
  received({ event: 'drain', data: { retryAfter } });
  await pause(retryAfter); // by then the client has left
}
