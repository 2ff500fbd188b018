import type { Gap } from '@zonecast/client';
import { fakeClient } from './fake-socket.js';

export const ROOM = 'zone:w:z';

/**
 * A client that is in the room at e-17, and what its listeners hear: offsets and gaps, in order.
 */
export async function inRoom() {
  const fake = fakeClient();
  const heard: (string | Gap)[] = [];
  fake.client.on('ZONE_UPDATE', (_, { offset }) => heard.push(offset));
  fake.client.on('gap', (gap) => heard.push(gap));
  const socket = await fake.connect();
  const joined = fake.client.subscribe('w', 'z');
  socket.acks('subscribe', { room: ROOM, offset: 'e-17' });
  await joined;
  return { ...fake, heard };
}
