/**
 * Zonecast's client: live events of warehouses and zones over WebSocket.
 *
 *     createWebSocketClient ─▶ WebSocketClient ─▶ Connection ─▶ WebSocket ─▶ server
 *              your listeners ◀─ Listeners ◀─ Membership (offsets) ◀─ frames ◀──┘
 *
 * The client keeps the connection alive, resumes where it stopped, and tells by the event `gap` when that was not possible.
 * The protocol is the server's backend/wire; the golden frames there hold this package to it.
 *
 * @packageDocumentation
 */
export { createWebSocketClient, type Message, type RequestOptions, type WebSocketClient } from './client.js';
export { CloseCode } from './close.js';
export { type ClientErrorCode, type ErrorCode, type ServerErrorCode, ZonecastError } from './errors.js';
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
export { formatRoom, parseRoom, type Room } from './room.js';
export type { State, StateListener } from './state.js';
