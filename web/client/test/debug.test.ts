import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { traceClient } from '@zonecast/client/debug';
import { fakeClient, fakeTime, settle } from './fake-socket.js';

fakeTime({ beforeEach, afterEach });

const SECRET = 'secret-7';

function traced() {
  const made = fakeClient({ token: SECRET, warehouse: 'w' });
  const lines: string[] = [];
  const stop = traceClient(made.client, (line) => lines.push(line));
  return { ...made, lines, stop };
}

test('tells each state, event, gap, retry and error in a line, without data and tokens', async () => {
  const { client, connect, lines } = traced();
  const socket = await connect([{ room: 'warehouse:w', offset: 'e-1' }]);
  await settle();
  socket.publishes('warehouse:w', 'e-2', 'ALERT', { title: SECRET });
  socket.says({ event: 'STATE', room: 'warehouse:w', offset: 'e-1', retained: true, data: SECRET });
  socket.publishes('warehouse:w', 'e-4', 'ALERT', SECRET);
  socket.says({ event: 'heartbeat', data: { connections: 1, time: 1 } });
  socket.says({ event: 'error', data: { code: 'unavailable', message: SECRET, retryAfter: 20 } });
  socket.closes(4408, SECRET);
  client.disconnect();
  expect(lines.map((line) => line.replace(/^zonecast: /, ''))).toEqual([
    'state idle',
    'state connecting attempt 0',
    'state connected by websocket to backend-1',
    'event connected',
    'event ALERT warehouse:w e-2',
    'event STATE warehouse:w e-1 retained',
    'gap warehouse:w from e-2 to e-3',
    'event ALERT warehouse:w e-4',
    'event heartbeat',
    'error unavailable retryAfter 20 ms',
    expect.stringMatching(/^state waiting attempt 1 in \d+ ms error connection_lost close 4408$/),
    'state closed',
  ]);
  expect(`${lines}`).not.toContain(SECRET);
});

test('tells a refusal for good, and a drain', async () => {
  const { connect, lines } = traced();
  const socket = await connect();
  await settle();
  socket.says({ event: 'drain', data: { retryAfter: 300 } });
  socket.closes(4401, SECRET);
  expect(lines.slice(-2)).toEqual([
    'zonecast: event drain retryAfter 300 ms',
    'zonecast: state failed error unauthenticated close 4401',
  ]);
});

test('ends when told to, and writes to console.debug by default', async () => {
  const { client, connect, lines, stop } = traced();
  const debug = vi.spyOn(console, 'debug').mockImplementation(() => {});
  traceClient(client);
  stop();
  const before = lines.length;
  await connect();
  expect(lines).toHaveLength(before);
  expect(debug).toHaveBeenCalledWith('zonecast: state connected by websocket to backend-1');
  debug.mockRestore();
});

test('is an option of the client, which is given the new client', async () => {
  const lines: string[] = [];
  const { client } = fakeClient({ debug: (client) => traceClient(client, (line) => lines.push(line)) });
  expect(lines).toEqual(['zonecast: state idle']);
  client.disconnect();
  expect(lines).toEqual(['zonecast: state idle', 'zonecast: state closed']);
  const debug = vi.spyOn(console, 'debug').mockImplementation(() => {});
  fakeClient({ debug: traceClient });
  expect(debug).toHaveBeenCalledWith('zonecast: state idle');
});
