import { onTestFinished, vi } from 'vitest';
import { WebSocket as NodeWebSocket } from 'ws';
import { type ClientOptions, createWebSocketClient } from '@zonecast/client';
import { memory } from './memory.js';

/** A client over real sockets, which ends with the test, and what went to its onError. */
export function realClient(options: ClientOptions) {
  const onError = vi.fn<(error: unknown) => void>();
  const defaults = { WebSocket: NodeWebSocket, storage: memory(), backoffBase: 50, onError };
  const client = createWebSocketClient({ ...defaults, ...options });
  onTestFinished(() => client.disconnect());
  return { client, onError };
}

/** Waits until the check passes, however busy the machine is. */
export const eventually = <T>(check: () => T) => vi.waitFor(check, { timeout: 60_000, interval: 10 });
