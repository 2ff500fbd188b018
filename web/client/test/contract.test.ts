import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createWebSocketClient } from '@zonecast/client';
import { FakeSocket, fakeTime, settle } from './fake-socket.js';

fakeTime({ beforeEach, afterEach });
afterEach(() => void vi.unstubAllGlobals());

test('the documented program works word for word', async () => {
  let socket!: FakeSocket;
  vi.stubGlobal(
    'WebSocket',
    class extends FakeSocket {
      constructor(address: string) {
        super(address);
        socket = this;
        queueMicrotask(() => this.saysConnected([{ room: 'warehouse:warehouse-1' }, { room: 'zone:warehouse-1:zone-a' }]));
      }
    },
  );

  const ws = createWebSocketClient({ url: 'http://localhost:3001', warehouse: 'warehouse-1', zone: 'zone-a', userId: 'user-123', autoReconnect: true });
  await ws.connect();
  ws.on('SHIFT_SNAPSHOT', (data) => {});
  ws.on('ALERT', (data) => {});
  ws.subscribe('warehouse-2', 'zone-b');
  ws.disconnect();

  expect(socket.address.search).toBe('?warehouse=warehouse-1&zone=zone-a&userId=user-123');
  expect(socket.last('subscribe').data).toEqual({ warehouse: 'warehouse-2', zone: 'zone-b' });
  expect(socket.closedWith).toBe(1000);
  await settle();
  expect(vi.getTimerCount()).toBe(0);
});
