import type { ServerFrame } from './frame.js';
import { dialHTTP } from './http.js';
import type { Line, Transport } from './transport.js';

interface Answer {
  cursor: string;
  messages: ServerFrame[];
  serverTime?: number;
  node?: string;
  /** The instance is leaving. */
  retryAfter?: number;
}

/** How long an answer may take: as long as the server keeps a request that it has nothing for, and the way. In milliseconds. */
const LONGEST = 35_000;

/** Long polling, for networks through which nothing gets that stays open. */
export const longPolling: Transport = { name: 'poll', dial: (line) => dialHTTP(line, '/poll', read) };

async function read(answer: Response, { frame, pause }: Line): Promise<void> {
  const { cursor, messages, serverTime, node, retryAfter }: Answer = await answer.json();
  // Of a room that is new here and has messages already, these tell where we are. Else the cursor does.
  const rooms = [...cursor.matchAll(/([^,@]+)@([^,]+)/g)].map(([, room, offset]) =>
    messages.some((message) => message.room === room && !message.retained) ? { room } : { room, offset },
  );
  frame({ event: 'connected', data: { connectionId: '', rooms, heartbeat: LONGEST / 2, serverTime, node } });
  messages.forEach(frame);
  if (!retryAfter) return;
  frame({ event: 'drain', data: { retryAfter } });
  await pause(retryAfter); // by then the client has left
}
