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
 * WebSocket costs least. Long polling comes before Server-Sent Events although it costs more: what
 * breaks a WebSocket is mostly a proxy that holds back or cuts whatever stays open, and so breaks
 * streams too, which shows only after connectTimeout; a poll is answered at once and gets through
 * wherever pages do. Streams are for networks that refuse even that.
 */
const FALLBACK_ORDER: readonly Transport[] = [webSocket, longPolling, serverSentEvents];

/**
 * Makes a client that begins with a WebSocket and falls back to long polling, then to Server-Sent
 * Events; connect() connects it. Throws a ZonecastError with the code invalid_option or
 * invalid_room that says what to change when an option can't be used.
 */
export function createWebSocketClient<Events extends object = {}>(
  options: ClientOptions,
): ZonecastClient<With<Events>> {
  return makeClient(readOptions(options, FALLBACK_ORDER));
}

/**
 * Like createWebSocketClient, with the transports that are given, tried in their order: what is not
 * imported is in no bundle.
 */
export function createClient<Events extends object = {}>(
  options: ClientOptions & { transports: readonly Transport[] },
): ZonecastClient<With<Events>> {
  return makeClient(readOptions(options));
}
