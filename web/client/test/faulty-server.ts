import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';

/**
 * A server on a real socket that misbehaves as the test tells it to: what a sound server can't be
 * made to do.
 */
export class FaultyServer {
  readonly url: string;
  readonly #server: WebSocketServer;

  private constructor(server: WebSocketServer) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /**
   * Starts one that treats its first connection as the first function says, the second as the
   * second, and so on; the last one is for all that follow.
   */
  static async start(...treatments: ((socket: WebSocket) => void)[]): Promise<FaultyServer> {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0, path: '/ws' });
    let count = 0;
    server.on('connection', (socket) => treatments[Math.min(count++, treatments.length - 1)]?.(socket));
    await new Promise((resolve) => server.once('listening', resolve));
    return new FaultyServer(server);
  }

  async stop(): Promise<void> {
    for (const socket of this.#server.clients) socket.terminate();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** What each connection gets first. */
export function greet(socket: WebSocket, heartbeat = 30_000): void {
  const data = { connectionId: 'c-1', rooms: [], heartbeat, serverTime: Date.now(), node: 'faulty' };
  socket.send(JSON.stringify({ event: 'connected', data }));
}
