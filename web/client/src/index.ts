/**
 * Zonecast's client: live events of warehouses and zones, over whatever gets through.
 *
 *     createWebSocketClient ─▶ ZonecastClient ─▶ Connection ─▶ Transport ─▶ server
 *              your listeners ◀─ Listeners ◀─ Membership (offsets) ◀─ frames
 *
 * The client keeps the connection alive, resumes where it stopped, and tells by the event `gap`
 * when that was not possible. The protocol is the server's backend/wire; the golden frames there
 * hold this package to it.
 *
 * @packageDocumentation
 */
export type { EventName, Message, RequestOptions, SignalOptions, ZonecastClient } from './client.js';
export { CloseCode } from './close.js';
export { createClient, createWebSocketClient, type With } from './create.js';
export type { ClientErrorCode, ErrorCode, ErrorDetails, ServerErrorCode } from './errors.js';
export { ZonecastError } from './errors.js';
export type {
  Alert,
  AnyListener,
  Connected,
  Gap,
  Listener,
  MessageMeta,
  Position,
  ProtocolEvents,
  ProtocolMeta,
  ShiftSnapshot,
  WellKnownEvents,
  ZoneSummary,
  ZoneUpdate,
} from './events.js';
export type { ClientOptions, WebSocketConstructor, WebSocketLike } from './options.js';
export { longPolling } from './poll.js';
export { formatRoom, parseRoom, type Room } from './room.js';
export { serverSentEvents } from './sse.js';
export type { State, StateListener } from './state.js';
export type { WebStorage } from './store.js';
export type { Transport } from './transport.js';
export { webSocket } from './websocket.js';
