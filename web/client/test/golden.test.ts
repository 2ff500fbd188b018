import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { CloseCode, formatRoom, parseRoom } from '@zonecast/client';
import { BACKOFF_CAP } from '../src/backoff.js';
import { nameOf } from '../src/close.js';
import { isPermanent } from '../src/errors.js';
import { decodeFrame, encodeFrame } from '../src/frame.js';
import { parseOffset } from '../src/offset.js';
import { makeRoom } from '../src/room.js';

interface Golden {
  server: { name: string; text: string; frame: object }[];
  client: { name: string; text: string; event: string; id?: number; data?: unknown }[];
  closeCodes: { code: number; name: string; reconnect: boolean }[];
  rooms: { valid: { text: string; warehouse: string; zone: string }[]; invalid: string[] };
  offsets: { valid: { text: string; epoch: string; n: number }[]; invalid: string[] };
  limits: { nameLength: number; reconnectBackoffCapMs: number };
}

/** The server's own tests hold it to the same file. */
const path = new URL('../../../backend/wire/testdata/golden.json', import.meta.url);
const golden = JSON.parse(readFileSync(path, 'utf8')) as Golden;

describe('frames', () => {
  test.each(golden.server)('reads: $name', ({ text, frame }) => {
    expect(decodeFrame(text, JSON.parse)).toEqual(frame);
  });

  test.each(golden.client)('writes: $name', ({ text, event, data, id }) => {
    expect(JSON.parse(encodeFrame(event, data, id))).toEqual(JSON.parse(text));
  });
});

describe('close codes', () => {
  test('are the same in number and name', () => {
    expect(CloseCode).toEqual(Object.fromEntries(golden.closeCodes.map(({ name, code }) => [name, code])));
  });

  test.each(golden.closeCodes)('$code $name', ({ code, name, reconnect }) => {
    expect(nameOf(code)).toBe(name);
    expect(isPermanent(name)).toBe(!reconnect);
  });
});

describe('rooms', () => {
  test.each(golden.rooms.valid)('$text', ({ text, warehouse, zone }) => {
    expect(parseRoom(text)).toEqual(zone ? { warehouse, zone } : { warehouse });
    expect(formatRoom(makeRoom(warehouse, zone))).toBe(text);
  });

  test.each(golden.rooms.invalid)('refuses %j', (text) => {
    expect(() => parseRoom(text)).toThrow(expect.objectContaining({ code: 'invalid_room' }));
  });
});

describe('offsets', () => {
  test.each(golden.offsets.valid)('$text', ({ text, epoch, n }) => {
    expect(parseOffset(text)).toEqual({ form: text, epoch, n: BigInt(n) });
  });

  test.each(golden.offsets.invalid)('refuses %j', (text) => {
    expect(parseOffset(text)).toBeUndefined();
  });
});

test('limits', () => {
  const { nameLength, reconnectBackoffCapMs } = golden.limits;
  expect(BACKOFF_CAP).toBe(reconnectBackoffCapMs);
  expect(makeRoom('w'.repeat(nameLength))).toBeDefined();
  expect(() => makeRoom('w'.repeat(nameLength + 1))).toThrow(expect.objectContaining({ code: 'invalid_room' }));
});
