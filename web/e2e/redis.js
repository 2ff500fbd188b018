// Starts a redis-server of its own on a free port of the loopback address, which keeps nothing on disk, and ends it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './port.js';

export class Redis {
  #process;
  #folder;
  #port;

  static async start() {
    const redis = new Redis();
    redis.#port = await freePort();
    redis.#folder = await mkdtemp(join(tmpdir(), 'zonecast-redis-'));
    await redis.#spawn();
    return redis;
  }

  get url() {
    return `redis://127.0.0.1:${this.#port}`;
  }

  async #spawn() {
    const settings = ['--port', `${this.#port}`, '--bind', '127.0.0.1', '--save', '', '--dir', this.#folder];
    this.#process = spawn('redis-server', settings, { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    await new Promise((resolve, reject) => {
      this.#process.once('error', (error) => reject(new Error(`redis-server could not be started: ${error.message}`)));
      this.#process.once('exit', (code) => reject(new Error(`redis-server ended with code ${code}; it said:\n${output}`)));
      this.#process.stdout.on('data', (chunk) => {
        output = (output + chunk).slice(-10_000);
        if (/ready to accept connections/i.test(output)) resolve();
      });
    });
  }

  /** Makes it hang: connections stay, and no answer comes. */
  freeze() {
    this.#process.kill('SIGSTOP');
  }

  thaw() {
    this.#process.kill('SIGCONT');
  }

  async stop() {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const gone = once(this.#process, 'exit');
      this.#process.kill('SIGKILL');
      await gone;
    }
    await rm(this.#folder, { recursive: true, force: true });
  }
}
