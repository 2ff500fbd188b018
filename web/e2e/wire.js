// Stands between browser and proxy like a bad WiFi: it can break all connections, and let none through for a while.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

export class Wire {
  #server = createServer();
  #sockets = new Set();
  #away = false;
  url = '';

  static async to(port) {
    const wire = new Wire();
    await once(wire.#server.listen(0, '127.0.0.1'), 'listening');
    wire.url = `http://127.0.0.1:${wire.#server.address().port}`;
    wire.#server.on('connection', (near) => {
      if (wire.#away) return near.resetAndDestroy();
      const far = connect(port, '127.0.0.1');
      for (const [socket, other] of [[near, far], [far, near]]) {
        wire.#sockets.add(socket);
        socket.on('error', () => {});
        socket.on('close', () => {
          wire.#sockets.delete(socket);
          other.destroy();
        });
        socket.pipe(other);
      }
    });
    return wire;
  }

  /** Resets all connections. */
  reset() {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Lets nothing through for some milliseconds. */
  async goAway(ms) {
    this.#away = true;
    this.reset();
    await new Promise((resolve) => setTimeout(resolve, ms));
    this.#away = false;
  }

  async remove() {
    this.#away = true;
    this.reset();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
