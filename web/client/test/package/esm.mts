// Type-checked against the built package, not run.
import { CloseCode, createWebSocketClient, type State, ZonecastError } from '@zonecast/client';
import { WebSocket } from 'ws';

const ws = createWebSocketClient<{ PICK_DONE: { sku: string } }>({ url: 'http://localhost:3001', WebSocket });
await ws.connect();
ws.on('SHIFT_SNAPSHOT', (data, meta) => [data.pickRate.toFixed(), meta.room.length, meta.time.toFixed()]);
ws.on('ALERT', async (data) => data.clearedAt?.toFixed());
ws.on('PICK_DONE', (data) => data.sku.toUpperCase());
ws.on('gap', (data) => [data.room, data.from, data.to]);
ws.on('UNTYPED', (data: unknown) => data);
// @ts-expect-error: an ALERT has no price
ws.on('ALERT', (data) => data.price);
const stop: () => void = ws.onState((state: State) => state.name === 'waiting' && state.retryAt.toFixed());
stop();
const error = new ZonecastError('timeout', 'late', { closeCode: CloseCode.restart });
error.code satisfies string;
