import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/**
 * What happens to a connection whose first request is for a path: it gets through, is refused, is
 * cut, is cut after a moment, or nothing ever comes back.
 */
export type Treatment = 'pass' | 'refuse' | 'cut' | 'flap' | 'swallow';

/** How long a tunnel that flaps stands, in milliseconds. */
const FLAP_AFTER = 300;

/**
 * Stands between client and server like a network with a mind of its own. A new rule breaks all
 * that is open.
 */
export class Network {
  readonly url: string;
  /** The first paths of all connections that were made, in order. */
  readonly dialled: string[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #rule: (path: string) => Treatment;

  private constructor(server: Server, rule: (path: string) => Treatment) {
    this.#server = server;
    this.#rule = rule;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  static async to(port: number, rule: (path: string) => Treatment): Promise<Network> {
    const server = createServer();
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const network = new Network(server, rule);
    server.on('connection', (near) => network.#plug(near, port));
    return network;
  }

  rule(rule: (path: string) => Treatment): void {
    this.#rule = rule;
    for (const socket of this.#sockets) socket.destroy();
  }

  async remove(): Promise<void> {
    this.rule(() => 'cut');
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #plug(near: Socket, port: number): void {
    this.#keep(near);
    near.once('data', (first) => {
      const [, path = ''] = /^\w+ (\/\w+)/.exec(String(first)) ?? [];
      this.dialled.push(path);
      const treatment = this.#rule(path);
      if (treatment === 'refuse') near.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
      if (treatment === 'cut') near.destroy();
      if (treatment !== 'pass' && treatment !== 'flap') return;
      if (treatment === 'flap') setTimeout(() => near.destroy(), FLAP_AFTER).unref();
      const far = this.#keep(connect(port, '127.0.0.1'));
      far.write(first);
      near.pipe(far).pipe(near);
      near.on('close', () => far.destroy());
      far.on('close', () => near.destroy());
    });
  }

  #keep(socket: Socket): Socket {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
    return socket;
  }
}
