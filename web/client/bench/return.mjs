// How long after the network's return are a thousand clients back? Starts the server (ZONECAST_BIN) and puts a network before it that
// is away for 2 s at a time; nobody tells the clients that it is back, as `online` would in a browser.
//
//     node bench/return.mjs [--clients 1000] [--rounds 6] [--transport webSocket|longPolling|serverSentEvents]
//
// Fails when the 99th percentile is over 2 s or when a client has not received everything in order.
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { WebSocket } from 'ws';
import * as zonecast from '../dist/esm/index.js';

const AWAY = 2_000;
const BETWEEN = 6_000;
const TARGET = 2_000;

const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '1000' },
    rounds: { type: 'string', default: '6' },
    transport: { type: 'string', default: 'webSocket' },
  },
});
const rounds = Number(values.rounds);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const binary = process.env.ZONECAST_BIN || fileURLToPath(new URL('../../../bin/zonecast', import.meta.url));
const server = spawn(binary, [], { env: { PATH: process.env.PATH, LISTEN: '127.0.0.1:0' }, stdio: ['ignore', 'pipe', 'pipe'] });
process.on('exit', () => server.kill('SIGKILL'));
const port = await new Promise((resolve, reject) => {
  server.once('exit', (code) => reject(new Error(`the server ended with code ${code}`)));
  for (const stream of [server.stdout, server.stderr])
    stream.on('data', (chunk) => {
      const [, found] = /127\.0\.0\.1:([1-9]\d*)/.exec(chunk) ?? [];
      if (found) resolve(Number(found));
    });
});

const network = fork(new URL('network.mjs', import.meta.url), [String(port)]);
const [entrance] = await once(network, 'message');
const order = async (what) => {
  network.send(what);
  await once(network, 'message');
};

let returnedAt = 0;
const waits = [];
const clients = Array.from({ length: Number(values.clients) }, () => {
  const client = zonecast.createWebSocketClient({
    url: `http://127.0.0.1:${entrance}`,
    warehouse: 'w',
    zone: 'z',
    WebSocket,
    ...(values.transport !== 'webSocket' && { transports: [zonecast[values.transport]] }),
    storage: { getItem: () => null, setItem() {}, removeItem() {} },
  });
  client.heard = [];
  client.on('TICK', (n) => client.heard.push(n));
  client.on('gap', () => client.heard.push('gap'));
  client.onState(({ name }) => {
    if (name === 'connected' && returnedAt) waits.push(performance.now() - returnedAt);
  });
  return client;
});
await Promise.all(clients.map((client) => client.connect()));

let published = 0;
let over = false;
const publishing = (async () => {
  for (; !over; published++) {
    const answer = await fetch(`http://127.0.0.1:${port}/api/v1/warehouses/w/zones/z/broadcast`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ event: 'TICK', data: published }),
    });
    if (!answer.ok) throw new Error(`publishing was answered ${answer.status}`);
    await pause(200);
  }
})();

for (let round = 0; round < rounds; round++) {
  await pause(BETWEEN);
  await order('away');
  await pause(AWAY);
  await order('back');
  returnedAt = performance.now();
}
await pause(BETWEEN);
over = true;
await publishing;
const behind = () => clients.some(({ heard }) => heard.length < published);
for (const deadline = performance.now() + 30_000; behind() && performance.now() < deadline; ) await pause(100);

waits.sort((a, b) => a - b);
const at = (share) => `${Math.round(waits[Math.min(waits.length - 1, Math.floor(share * waits.length))])} ms`;
const by = clients.reduce((all, { state }) => ({ ...all, [state.transport]: (all[state.transport] ?? 0) + 1 }), {});
const wrong = clients.filter(({ heard }) => heard.length !== published || heard.some((n, index) => n !== index)).length;
console.log(`${clients.length} clients, ${rounds} times without a network for ${AWAY} ms; in the end connected by ${JSON.stringify(by)}`);
console.log(`back after its return: p50 ${at(0.5)}, p95 ${at(0.95)}, p99 ${at(0.99)}, last ${at(1)}, of ${waits.length}`);
console.log(`${clients.length - wrong} of ${clients.length} received all ${published} messages in order and once`);

for (const client of clients) client.disconnect();
network.disconnect();
server.kill('SIGTERM');
// Whoever was not back before the network went again counts as too late.
const p99 = waits[Math.floor(0.99 * clients.length * rounds)] ?? Infinity;
if (p99 > TARGET || wrong) process.exitCode = 1;
