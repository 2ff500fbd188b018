import { vi } from 'vitest';
import { type ClientOptions, createWebSocketClient, type Position, type State, webSocket } from '@zonecast/client';

export interface SentFrame {
  event: string;
  id?: number;
  data?: Record<string, unknown>;
}

/**
 * A socket whose other side is the test: it says what the server says, and reads what the client
 * sent.
 */
export class FakeSocket {
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onerror: ((event: { message: string }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  readonly address: URL;
  readonly protocols: string[] | undefined;
  readonly sent: SentFrame[] = [];
  /** With what the client closed it. */
  closedWith: number | undefined | 'nothing' = 'nothing';

  constructor(address: string, protocols?: string[]) {
    this.address = new URL(address);
    this.protocols = protocols;
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text) as SentFrame);
  }

  close(code?: number): void {
    this.closedWith = code;
  }

  /** The server sends a frame, or raw text. */
  says(frame: object | string): void {
    this.onmessage?.({ data: typeof frame === 'string' ? frame : JSON.stringify(frame) });
  }

  saysConnected(rooms: Position[] = [], heartbeat = 30_000): void {
    const data = { connectionId: 'c-1', rooms, heartbeat, serverTime: 1_767_225_600_000, node: 'backend-1' };
    this.says({ event: 'connected', data });
  }

  publishes(room: string, offset: string, event = 'ZONE_UPDATE', data: unknown = {}): void {
    this.says({ event, room, offset, time: 1_767_225_600_000, data });
  }

  /** The server answers the last frame of this event. */
  acks(event: string, data: unknown = null): void {
    this.says({ event: 'ack', id: this.last(event).id, data });
  }

  refuses(event: string, code: string, retryAfter?: number): void {
    this.says({ event: 'error', id: this.last(event).id, data: { code, message: `${event}: ${code}`, retryAfter } });
  }

  closes(code: number, reason = ''): void {
    this.onclose?.({ code, reason });
  }

  last(event: string): SentFrame {
    const frame = this.sent.findLast((sent) => sent.event === event);
    if (!frame) throw new Error(`the client sent no ${event}`);
    return frame;
  }
}

/** Lets what waits for promises go on, without moving the clock. */
export const settle = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

/**
 * A client whose sockets are fakes. The test uses fake timers, and Math.random gives 1/2, so a wait
 * is half its ceiling.
 */
export function fakeClient(options: Partial<ClientOptions> = {}) {
  const sockets: FakeSocket[] = [];
  class Recorded extends FakeSocket {
    constructor(address: string, protocols?: string[]) {
      super(address, protocols);
      sockets.push(this);
    }
  }
  const onError = vi.fn<(error: unknown) => void>();
  const given = { url: 'http://localhost:3001', onError, WebSocket: Recorded, transports: [webSocket], ...options };
  const client = createWebSocketClient(given);
  /** The newest socket. */
  const socket = (): FakeSocket => {
    const newest = sockets.at(-1);
    if (!newest) throw new Error('the client dialled nothing');
    return newest;
  };
  const connect = async (rooms?: Position[]): Promise<FakeSocket> => {
    void client.connect();
    await settle();
    socket().saysConnected(rooms);
    await settle();
    return socket();
  };
  /** The connection breaks, and the next one stands. */
  const reconnect = async (rooms?: Position[]): Promise<FakeSocket> => {
    socket().closes(1006);
    await vi.advanceTimersToNextTimerAsync();
    socket().saysConnected(rooms);
    await settle();
    return socket();
  };
  return { client, sockets, socket, onError, connect, reconnect };
}

/** Call at the top of a file that uses fakeClient. */
export function fakeTime(hooks: { beforeEach(run: () => void): void; afterEach(run: () => void): void }): void {
  hooks.beforeEach(() => {
    vi.useFakeTimers({ now: 1_767_225_600_000 });
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
  });
  hooks.afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });
}

/** The states that the client enters from now on. */
export function recordStates(client: { onState(listener: (state: State) => void): () => void }): State[] {
  const states: State[] = [];
  client.onState((state) => states.push(state));
  return states;
}
