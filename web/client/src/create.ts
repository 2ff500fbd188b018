import { makeClient, type ZonecastClient } from './client.js';
import type { WellKnownEvents } from './events.js';
import { type ClientOptions, readOptions } from './options.js';
import { longPolling } from './poll.js';
import { serverSentEvents } from './sse.js';
import type { Transport } from './transport.js';
import { webSocket } from './websocket.js';

/** Events of your own beside the well-known ones, or in their place. */
export type With<Events extends object> = Omit<WellKnownEvents, keyof Events> & Events;

/**
 * Makes a client that begins with a WebSocket and falls back to long polling and Server-Sent Events; connect() connects it. Throws a
 * ZonecastError that says what to change when an option can't be used.
 */
export function createWebSocketClient<Events extends object = {}>(options: ClientOptions): ZonecastClient<With<Events>> {
  return makeClient(readOptions(options, [webSocket, longPolling, serverSentEvents]));
}

/** Like createWebSocketClient, with the transports that are given: what is not imported is in no bundle. */
export function createClient<Events extends object = {}>(
  options: ClientOptions & { transports: readonly Transport[] },
): ZonecastClient<With<Events>> {
  return makeClient(readOptions(options));
}
