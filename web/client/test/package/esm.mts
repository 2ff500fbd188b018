// Type-checked against the built package, not run.
import {
  CloseCode,
  createClient,
  createWebSocketClient,
  longPolling,
  type Message,
  type State,
  webSocket,
  type ZonecastClient,
  ZonecastError,
} from '@zonecast/client';
import { traceClient } from '@zonecast/client/debug';
import { useConnection, useConnectionState, useZone } from '@zonecast/client/react';
import { createWebSocketClient as createWithRooms, type RoomsClient, withRooms } from '@zonecast/client/rooms';
import { createSharedClient } from '@zonecast/client/tabs';
import { createOutbox, memoryStore } from '@zonecast/client/offline';
import { createTestServer } from '@zonecast/client/testing';
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

// What is published has the type of its event; an event without a type takes anything.
await ws.publish({ warehouse: 'w', event: 'PICK_DONE', data: { sku: '1' }, conflate: 'k' }, { timeout: 1000 });
await ws.publish({ warehouse: 'w', zone: 'a', event: 'UNTYPED', data: ['any', 1] });
await ws.publish({ warehouse: 'w', event: 'UNTYPED' });
// @ts-expect-error: a PICK_DONE has no price
await ws.publish({ warehouse: 'w', event: 'PICK_DONE', data: { price: 1 } });
// @ts-expect-error: pickRate is a number
await ws.publish({ warehouse: 'w', event: 'ZONE_UPDATE', data: { now: 1, workers: 1, unitsDone: 1, pickRate: '1', ordersOpen: 1 } });
const forward = (event: string, data: unknown) => ws.publish({ warehouse: 'w', event, data });
const message: Message = { warehouse: 'w', event: 'ALERT', data: { title: 'untyped' } };
[(await forward('PICK_DONE', 1)).room, (await ws.publish(message)).offset];
traceClient(ws, (line: string) => line.length)();
const anyClient: ZonecastClient = ws;
(anyClient.serverNow() - 1).toFixed();
createWebSocketClient({ url: 'http://localhost:3001', parse: (text) => JSON.parse(text) as unknown });

const stop: () => void = ws.onState((state: State) => state.name === 'waiting' && state.retryAt.toFixed());
stop();
const error = new ZonecastError('timeout', 'late', { closeCode: CloseCode.restart });
error.code satisfies string;

createClient({ url: 'http://localhost:3001', transports: [webSocket, longPolling] }).on('ALERT', (data) => data.title.length);
useConnectionState(ws).name satisfies string;
useConnection(ws).name satisfies string;
const { latest, missed, reload } = useZone(ws, 'warehouse-1', 'zone-a', (data: unknown, meta) => meta.offset.length);
[latest.PICK_DONE?.sku.length, latest.SHIFT_SNAPSHOT?.pickRate.toFixed(), missed?.from, reload()];

const zone = withRooms(ws).zone('warehouse-1', 'zone-a');
zone.on('PICK_DONE', (data, meta) => [data.sku.length, meta.offset.length]);
[zone.latest.PICK_DONE?.sku.length, zone.latest.ALERT?.title, zone.error?.code, (await zone.ready).room];
await zone.leave();

createSharedClient<{ PICK_DONE: { sku: string } }>({ url: 'http://localhost:3001' }, { name: 'floor' }).on('PICK_DONE', ({ sku }) => sku.length);

const server = createTestServer();
server.client<{ PICK_DONE: { sku: string } }>({ warehouse: 'w' }).on('PICK_DONE', ({ sku }) => sku.length);
server.refuse = ({ event }) => (event === 'publish' ? 'forbidden' : undefined);
[server.publish('warehouse:w', 'PICK_DONE', { sku: '1' }).length, server.published[0]?.offset.length];

const outbox = createOutbox(ws, { store: memoryStore(), onRefused: ({ code, message }) => [code, message.idempotencyKey] });
[(await outbox.publish({ warehouse: 'w', event: 'SCAN' })).length, outbox.pending.toFixed()];
// Events that an application declares for all its clients.
declare module '@zonecast/client' {
  interface WellKnownEvents {
    SHELF_EMPTY: { shelf: number };
  }
}
createWebSocketClient({ url: 'http://localhost:3001' }).on('SHELF_EMPTY', (data) => data.shelf.toFixed());
// @ts-expect-error: a SHELF_EMPTY has no sku
ws.on('SHELF_EMPTY', (data) => data.sku);

// The same client with room handles, traced from its first state on.
const rooms: RoomsClient<{ PICK_DONE: { sku: string } } & object> = createWithRooms<{ PICK_DONE: { sku: string } }>({ url: 'http://localhost:3001', WebSocket, debug: traceClient });
const zoneA = rooms.zone('warehouse-1', 'zone-a');
zoneA.on('PICK_DONE', (data) => data.sku.toUpperCase());
zoneA.latest.PICK_DONE?.sku satisfies string | undefined;
await zoneA.leave();
