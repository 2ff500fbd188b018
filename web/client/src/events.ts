import type { Rate } from './pace.js';

/**
 * SHIFT_SNAPSHOT: how the shift stands, in a zone or, summed, in the warehouse. Times are ms since
 * 1970.
 */
export interface ShiftSnapshot {
  /** Like "2026-11-24-early". */
  shift: string;
  startsAt: number;
  endsAt: number;
  now: number;
  /** The zone and what people call it; both are missing in the snapshot of a warehouse. */
  zone?: string;
  name?: string;
  workers: number;
  unitsPerHourTarget: number;
  unitsTarget: number;
  unitsDone: number;
  /** Units per hour. */
  pickRate: number;
  ordersOpen: number;
  /** The alerts that are still open. */
  alerts: Alert[];
  /** In the snapshot of a warehouse only. */
  zones?: ZoneSummary[];
}

/** One zone in the SHIFT_SNAPSHOT of its warehouse. */
export interface ZoneSummary {
  zone: string;
  name: string;
  /** Units per hour. */
  pickRate: number;
  unitsDone: number;
  unitsTarget: number;
  workers: number;
  ordersOpen: number;
}

/** ZONE_UPDATE: what changes between two snapshots. */
export interface ZoneUpdate {
  now: number;
  workers: number;
  unitsDone: number;
  /** Units per hour. */
  pickRate: number;
  ordersOpen: number;
}

/** ALERT: the same id comes again, with clearedAt, when the trouble is over. */
export interface Alert {
  id: string;
  severity: 'info' | 'warning' | 'critical';
  title: string;
  detail: string;
  raisedAt: number;
  clearedAt?: number;
}

/**
 * The events that warehouse services publish by convention. Extend them by
 * createWebSocketClient<{ MY_EVENT: MyData }>(…).
 */
export interface WellKnownEvents {
  SHIFT_SNAPSHOT: ShiftSnapshot;
  ZONE_UPDATE: ZoneUpdate;
  ALERT: Alert;
}

/** A room and an offset in it. */
export interface Position {
  room: string;
  offset?: string;
  /** How many retained events follow, when the server has just joined the client to the room. */
  retained?: number;
}

/** The first frame of a connection. */
export interface Connected {
  connectionId: string;
  /** The rooms that the server joined this connection to by its address. */
  rooms: Position[];
  /** The milliseconds between two heartbeats. */
  heartbeat: number;
  /** Milliseconds since 1970. */
  serverTime: number;
  /** The name of the server instance. */
  node: string;
  /** What the server takes; a server that is older does not say. */
  limits?: Limits;
  /** The instance hears nothing of what is published. */
  broker?: 'unavailable';
  /** The version of the protocol; a server that is older does not say, nor does the long polling of this client. */
  protocol?: number;
}

export interface Limits {
  /** The most bytes of a frame from a client. */
  frameBytes: number;
  /** The rate of frames from one connection; 0 tokens are no limit. */
  frames: Rate;
}

/** The messages after `from`, up to and including `to`, cannot be recovered: fetch fresh state. */
export interface Gap {
  room: string;
  from: string;
  to: string;
}

/** The events of the protocol itself. Nobody can publish them. */
export interface ProtocolEvents {
  connected: Connected;
  heartbeat: { connections: number; time: number; broker?: 'unavailable' };
  gap: Gap;
  /**
   * The messages after `from`, up to and including `to`, were replaced by newer ones that follow.
   * Nothing is missing.
   */
  conflated: Gap;
  /**
   * The server instance is leaving; the client reconnects by itself after that many milliseconds.
   */
  drain: { retryAfter: number };
  /** An error that is the answer to no request in particular. */
  error: { code: string; message: string; retryAfter?: number };
}

/** Where and when a published event was. */
export interface MessageMeta {
  event: string;
  /** "warehouse:{warehouse}" or "zone:{warehouse}:{zone}"; parseRoom reads it. */
  room: string;
  offset: string;
  /** When the server accepted it, in milliseconds since 1970. */
  time: number;
  /**
   * True for the room's state from before the client joined, which its publisher asked to retain;
   * else missing.
   */
  retained?: boolean;
}

/** The meta of a protocol event, which belongs to the connection and has no offset in a room. */
export interface ProtocolMeta {
  event: keyof ProtocolEvents;
  room?: undefined;
  offset?: undefined;
  time?: undefined;
  retained?: undefined;
}

export type EventData<Events, Name> = Name extends keyof ProtocolEvents
  ? ProtocolEvents[Name]
  : Name extends keyof Events
    ? Events[Name]
    : unknown;

/**
 * What it returns is ignored, but when it throws or rejects, the error goes to the onError option.
 */
export type Listener<Events, Name> = (
  data: EventData<Events, Name>,
  meta: Name extends keyof ProtocolEvents ? ProtocolMeta : MessageMeta,
) => unknown;

export type AnyListener = (data: unknown, meta: MessageMeta | ProtocolMeta) => unknown;
