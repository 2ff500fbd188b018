// A service with the built client, one for each transport, which says line by line what happens to them. It ends with its input.
import { createWebSocketClient, longPolling, serverSentEvents, webSocket } from '../../dist/esm/index.js';

const [, , url] = process.argv;
// Node 20 has no WebSocket of its own.
const { WebSocket = (await import('ws')).WebSocket } = globalThis;

const clients = [webSocket, longPolling, serverSentEvents].map((transport) => {
  const say = (...words) => console.log(transport.name, ...words);
  const zone = transport.name;
  const ws = createWebSocketClient({ url, warehouse: 'w', zone, transports: [transport], WebSocket, backoffBase: 50, onError: say });
  ws.on('TICK', (data) => say(data));
  ws.on('gap', ({ room }) => room === `zone:w:${zone}` && say('gap'));
  ws.onState(({ name }) => name === 'failed' && say(name));
  return { ws, say, zone };
});

for (const { ws, say, zone } of clients) {
  await ws.connect();
  await ws.subscribe('w2', zone);
  say('connected');
  await ws.publish({ warehouse: 'w2', zone, event: 'TICK', data: 'published' });
}

process.stdin.on('end', () => clients.forEach(({ ws }) => ws.disconnect())).resume();
