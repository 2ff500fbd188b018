// Watches a zone, publishes one alert and ends: node watch.mjs http://127.0.0.1:3001 warehouse-1 zone-a
//
// Node 22 has a WebSocket of its own. Without one, as in Node 20, the client uses long polling; for a WebSocket there,
// `npm install ws`, import { WebSocket } from 'ws', and pass it as the option WebSocket.
import { createWebSocketClient } from '@zonecast/client';

const [url = 'http://127.0.0.1:3001', warehouse = 'warehouse-1', zone = 'zone-a'] = process.argv.slice(2);

const ws = createWebSocketClient({ url, warehouse, zone, userId: 'watch' });
ws.onState((state) => console.log('state', state.name === 'waiting' ? `waiting: ${state.error.message}` : state.name));
ws.on('gap', ({ room, from, to }) => console.log(`what was in ${room} after ${from}, up to ${to}, is lost`));

const seen = new Promise((resolve) => {
  ws.on('ALERT', (alert, meta) => {
    console.log('alert', meta.room, alert.title);
    if (alert.id === 'watch-1') resolve();
  });
});

await ws.connect();
await ws.publish({
  warehouse,
  zone,
  event: 'ALERT',
  data: { id: 'watch-1', severity: 'info', title: 'Somebody watches', detail: '', raisedAt: Date.now() },
});
await seen;
ws.disconnect(); // leaves nothing that would keep Node alive
