import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fakeTime, settle } from './fake-socket.js';
import { inRoom, ROOM } from './in-room.js';

fakeTime({ beforeEach, afterEach });

describe('a late listener', () => {
  const retained = { event: 'SHIFT_SNAPSHOT', room: ROOM, offset: 'e-15', time: 0, retained: true, data: 1 };

  /** Has joined, and got the retained event with nobody listening. */
  async function joinedUnheard() {
    const fake = await inRoom();
    fake.socket().says(retained);
    await settle();
    const late: unknown[] = [];
    const listener = (data: unknown, meta: { retained?: boolean | undefined }) => late.push([data, meta.retained]);
    return { ...fake, late, listener };
  }

  test('gets the retained event, once, however often it is added', async () => {
    const { client, late, listener } = await joinedUnheard();
    client.on('SHIFT_SNAPSHOT', listener);
    client.on('SHIFT_SNAPSHOT', listener);
    await settle();
    client.on('SHIFT_SNAPSHOT', listener);
    client.on('ALERT', listener);
    await settle();
    expect(late).toEqual([[1, true]]);
  });

  test('gets it by once and onAny too', async () => {
    const { client, socket, late, listener } = await joinedUnheard();
    client.once('SHIFT_SNAPSHOT', listener);
    client.onAny(listener);
    await settle();
    expect(late).toEqual([[1, true], [1, true]]);
    socket().publishes(ROOM, 'e-18', 'SHIFT_SNAPSHOT', 2);
    expect(late.slice(2)).toEqual([[2, undefined]]);
  });

  test('gets its newest state, marked retained', async () => {
    const { client, socket, late, listener } = await joinedUnheard();
    socket().publishes(ROOM, 'e-18', 'SHIFT_SNAPSHOT', 2);
    client.on('SHIFT_SNAPSHOT', listener);
    await settle();
    expect(late).toEqual([[2, true]]);
  });

  test('that got the newer one meanwhile does not get the older one', async () => {
    const { client, socket, late, listener } = await joinedUnheard();
    client.on('SHIFT_SNAPSHOT', listener);
    socket().publishes(ROOM, 'e-18', 'SHIFT_SNAPSHOT', 2);
    await settle();
    expect(late).toEqual([[2, undefined]]);
  });

  test.each(['SHIFT_SNAPSHOT', undefined])('that a listener adds for %s gets it once', async (event) => {
    const { client, socket, listener, late } = await joinedUnheard();
    client.once('SHIFT_SNAPSHOT', () => (event ? client.on(event, listener) : client.onAny(listener)));
    await settle();
    socket().says({ ...retained, data: 2 });
    await settle();
    expect(late).toEqual([[1, true], [2, true]]);
  });

  test('that is removed at once gets nothing, nor after the room was left', async () => {
    const { client, socket, late, listener } = await joinedUnheard();
    client.on('SHIFT_SNAPSHOT', listener)();
    const left = client.unsubscribe('w', 'z');
    client.on('SHIFT_SNAPSHOT', listener);
    socket().acks('unsubscribe');
    await left;
    expect(late).toEqual([]);
  });
});
