// Starts a real nginx on free ports of the loopback address, with a configuration that the test makes, and ends it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './port.js';

export class Nginx {
  #process;
  #folder;
  #port;

  /** Starts one whose server has these locations, as text in nginx's own language; `http` is what they need outside of it. */
  static async start(locations, http = '') {
    const nginx = new Nginx();
    nginx.#port = await freePort();
    nginx.#folder = await mkdtemp(join(tmpdir(), 'zonecast-nginx-'));
    const file = join(nginx.#folder, 'nginx.conf');
    await writeFile(file, configuration(nginx.#folder, nginx.#port, locations, http));
    nginx.#process = spawn('nginx', ['-c', file, '-e', 'stderr', '-g', 'daemon off;'], { stdio: ['ignore', 'ignore', 'pipe'] });
    let output = '';
    nginx.#process.stderr.on('data', (chunk) => (output = (output + chunk).slice(-10_000)));
    nginx.#process.once('error', (error) => (output += error.message));
    await listening(nginx.#port, () => output);
    return nginx;
  }

  get url() {
    return `http://127.0.0.1:${this.#port}`;
  }

  get port() {
    return this.#port;
  }

  async stop() {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const gone = once(this.#process, 'exit');
      this.#process.kill('SIGTERM');
      await gone;
    }
    await rm(this.#folder, { recursive: true, force: true });
  }
}

const configuration = (folder, port, locations, http) => `
pid ${folder}/nginx.pid;
worker_processes 1;
events { worker_connections 512; }
http {
  access_log off;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join(' ')}
  types { text/html html; text/javascript js; }
  ${http}
  server {
    listen 127.0.0.1:${port};
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_read_timeout 60s;
    ${locations}
  }
}
`;

/** Waits until somebody listens there. */
async function listening(port, output) {
  for (const deadline = Date.now() + 10_000; ; ) {
    const socket = connect(port, '127.0.0.1');
    const open = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'close').then(() => false)]).catch(() => false);
    socket.destroy();
    if (open) return;
    if (Date.now() > deadline) throw new Error(`nginx does not listen; it said:\n${output()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
