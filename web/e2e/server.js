// Starts the real server on a free port of the loopback address, and ends it. The program is ZONECAST_BIN, or bin/zonecast
// of this repository.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, constants } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const program = process.env.ZONECAST_BIN ?? fileURLToPath(new URL('../../bin/zonecast', import.meta.url));

/** How long the server may take to say where it listens, in milliseconds. */
const START = 10_000;

export class Server {
  #process;
  url = '';

  /**
   * Starts a server; with the address of an earlier one it takes that one's place. Settings are environment variables. `run`
   * is another build of the program, `args` are what it is given.
   */
  static async start(address = '127.0.0.1:0', settings = {}, run = program, args = []) {
    await access(run, constants.X_OK).catch(() => {
      throw new Error(`there is no program ${run}: build the server first, or name it in ZONECAST_BIN`);
    });
    const server = new Server();
    server.#process = spawn(run, args, {
      env: { PATH: process.env.PATH, HOME: process.env.HOME, LISTEN: address, NODE_NAME: 'e2e-node', LOG_FORMAT: 'text', ...settings },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    server.url = await server.#said(/http:\/\/127\.0\.0\.1:\d+/);
    return server;
  }

  /** Starts two instances, backend-1 and backend-2, that share a Redis. */
  static async startPair(REDIS_URL) {
    return Promise.all(['backend-1', 'backend-2'].map((NODE_NAME) => Server.start(undefined, { REDIS_URL, NODE_NAME })));
  }

  get address() {
    return new URL(this.url).host;
  }

  /** Reads what the server says until it names its address; afterwards the output is drained, so that it never blocks. */
  #said(pattern) {
    return new Promise((resolve, reject) => {
      let output = '';
      const fail = (why) => reject(new Error(`the server ${why}; it said:\n${output}`));
      const timer = setTimeout(() => fail(`did not say where it listens within ${START} ms`), START);
      const read = (chunk) => {
        output = (output + chunk).slice(-10_000);
        const found = pattern.exec(output);
        if (!found) return;
        clearTimeout(timer);
        resolve(found[0]);
      };
      this.#process.stdout.on('data', read);
      this.#process.stderr.on('data', read);
      this.#process.once('error', (error) => fail(`could not be started: ${error.message}`));
      this.#process.once('exit', (code) => fail(`ended with code ${code}`));
    });
  }

  /** Ends it without a word to anybody, as a power cut does. */
  async kill() {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const gone = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await gone;
  }

  /** Ends it as a rolling restart does: it tells its clients when to come back. */
  async end() {
    const gone = once(this.#process, 'exit');
    this.#process.kill('SIGTERM');
    await gone;
  }

  /** Makes it hang: its connections stay, and nothing comes over them. */
  freeze() {
    this.#process.kill('SIGSTOP');
  }

  thaw() {
    this.#process.kill('SIGCONT');
  }

  /** Publishes over HTTP, as a service does, to a zone or without a zone to the whole warehouse. */
  async publish(warehouse, zone, message, key) {
    const room = zone ? `${warehouse}/zones/${zone}` : warehouse;
    const answer = await fetch(`${this.url}/api/v1/warehouses/${room}/broadcast`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...(key && { Authorization: `Bearer ${key}` }) },
      body: JSON.stringify(message),
    });
    if (!answer.ok) throw new Error(`publishing to ${room} was answered ${answer.status}: ${await answer.text()}`);
  }
}
