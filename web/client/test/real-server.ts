import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const binary = process.env['ZONECAST_BIN'] || fileURLToPath(new URL('../../../bin/zonecast', import.meta.url));

/** A Zonecast server with its embedded broker, on a port of its own. */
export class RealServer {
  readonly port: number;
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess, port: number) {
    this.#process = process;
    this.port = port;
  }

  /**
   * Starts one on this port, or on a free one, with these environment variables, and waits until it
   * says that it listens.
   */
  static async start(port = 0, settings: Record<string, string> = {}): Promise<RealServer> {
    if (!existsSync(binary))
      throw new Error(
        `There is no server at ${binary}: run "go build -o bin/zonecast ./backend/cmd/zonecast" in the repository's root, ` +
          'or name another one in ZONECAST_BIN.',
      );
    const env = { PATH: process.env['PATH'], LISTEN: `127.0.0.1:${port}`, HEARTBEAT_INTERVAL: '1s', DRAIN_TIMEOUT: '2s', ...settings };
    const server = spawn(binary, [], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const chosen = await new Promise<number>((resolve, reject) => {
      const read = (chunk: Buffer) => {
        output += String(chunk);
        const [, found] = /(?:http:\/\/|addr=)127\.0\.0\.1:([1-9]\d*)/.exec(output) ?? [];
        if (found) resolve(Number(found));
      };
      server.stdout.on('data', read);
      server.stderr.on('data', read);
      server.once('error', reject);
      server.once('exit', (code) => reject(new Error(`The server ended with code ${code} before it listened:\n${output}`)));
    });
    return new RealServer(server, chosen);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Ends it: SIGTERM as a rolling restart would, SIGKILL as a power cut. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGKILL'): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const gone = once(this.#process, 'exit');
    this.#process.kill(signal);
    await gone;
  }

  /** Waits until nobody is connected. */
  async isEmpty(): Promise<void> {
    for (;;) {
      const response = await fetch(`${this.url}/health/websocket/metrics`);
      const { totalConnections } = (await response.json()) as { totalConnections: number };
      if (!totalConnections) return;
      await setTimeout(50);
    }
  }

  /** Publishes over HTTP, as a service does. Returns the offset. */
  async publish(warehouse: string, zone: string, event: string, data: unknown, retain = false): Promise<string> {
    return this.publishJSON(warehouse, zone, JSON.stringify(retain ? { event, data, retain } : { event, data }));
  }

  /** Like publish, with the body as it is. */
  async publishJSON(warehouse: string, zone: string, body: string): Promise<string> {
    const response = await fetch(`${this.url}/api/v1/warehouses/${warehouse}/zones/${zone}/broadcast`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body,
    });
    if (!response.ok) throw new Error(`publish: ${response.status} ${await response.text()}`);
    return ((await response.json()) as { offset: string }).offset;
  }
}
