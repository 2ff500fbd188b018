import { expect, it, vi } from 'vitest';
import { createOutbox, memoryStore, type Outbox, type OutboxOptions } from '@zonecast/client/offline';
import { createTestServer } from '@zonecast/client/testing';

function outboxOf(options: OutboxOptions = {}) {
  const server = createTestServer();
  const errors: unknown[] = [];
  const client = server.client({ backoffBase: 1, backoffCap: 10, onError: (error) => errors.push(error) });
  const store = memoryStore();
  return { server, client, store, errors, outbox: createOutbox(client, { store, ...options }) };
}

const scan = (outbox: Outbox, n: number) => outbox.publish({ warehouse: 'w', event: 'SCAN', data: n });
const numbers = (count: number) => Array.from({ length: count }, (_, n) => n);
const sent = ({ published }: ReturnType<typeof createTestServer>) => published.map(({ data }) => data);
const empty = (outbox: Outbox) => vi.waitFor(() => expect(outbox.pending).toBe(0), { timeout: 20_000 });

it('what is published offline arrives once and in order when the client connects', async () => {
  const { server, client, outbox } = outboxOf();
  const counts: number[] = [];
  outbox.onPending((pending) => counts.push(pending));
  await Promise.all(numbers(50).map((n) => scan(outbox, n)));
  expect([outbox.pending, server.published.length]).toEqual([50, 0]);
  await client.connect();
  await empty(outbox);
  expect(sent(server)).toEqual(numbers(50));
  expect([Math.max(...counts), counts.at(-1)]).toEqual([50, 0]);
  await scan(outbox, 50);
  await empty(outbox);
  expect(sent(server)).toEqual(numbers(51));
});

it('what a page left behind is sent by the next one', async () => {
  const { store, outbox } = outboxOf();
  await Promise.all(numbers(20).map((n) => scan(outbox, n)));
  outbox.close();
  const next = outboxOf({ store });
  await next.client.connect();
  await scan(next.outbox, 20);
  await empty(next.outbox);
  expect(sent(next.server)).toEqual(numbers(21));
});

it('connections that drop neither lose, double nor shuffle', async () => {
  const { server, client, outbox } = outboxOf();
  await client.connect();
  const drops = setInterval(() => server.drop(), 3);
  for (const n of numbers(60)) {
    await scan(outbox, n);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  clearInterval(drops);
  await empty(outbox);
  expect(sent(server)).toEqual(numbers(60));
});

it('an answer that is lost with its connection is no second publication', async () => {
  const { server, client, outbox } = outboxOf();
  await client.connect();
  let drops = 1;
  server.refuse = ({ event }) => {
    // It takes it all the same, and has nobody to answer to.
    if (event === 'publish' && drops-- > 0) server.drop();
    return undefined;
  };
  await scan(outbox, 0);
  await scan(outbox, 1);
  await empty(outbox);
  expect(sent(server)).toEqual([0, 1]);
});

it('what is refused for good is kept aside and reported, and stops nothing', async () => {
  const reported: unknown[] = [];
  const { server, client, outbox } = outboxOf({ onRefused: ({ code, message }) => reported.push([code, message.data]) });
  server.refuse = ({ event, data }) => (event === 'publish' && data.data === 1 ? 'forbidden' : undefined);
  const keys = await Promise.all(numbers(3).map((n) => scan(outbox, n)));
  await client.connect();
  await empty(outbox);
  expect(sent(server)).toEqual([0, 2]);
  expect(reported).toEqual([['forbidden', 1]]);
  expect(await outbox.refused()).toMatchObject([{ code: 'forbidden', message: { data: 1, idempotencyKey: keys[1] } }]);
  await outbox.forget(keys[1] as string);
  expect(await outbox.refused()).toEqual([]);
});

it('without onRefused the client is told', async () => {
  const { server, client, outbox, errors } = outboxOf();
  server.refuse = ({ event }) => (event === 'publish' ? 'invalid_event' : undefined);
  await scan(outbox, 0);
  await client.connect();
  await empty(outbox);
  expect(errors).toMatchObject([{ code: 'invalid_event', message: expect.stringContaining('SCAN was refused') }]);
});

it('a client that is refused as a whole has said nothing about what is kept', async () => {
  const { server, client, outbox } = outboxOf();
  await client.connect();
  server.refuse = () => {
    server.drop(4403, 'signed out');
    return undefined;
  };
  await scan(outbox, 0);
  await vi.waitFor(() => expect(client.state.name).toBe('failed'));
  server.refuse = () => undefined;
  expect([outbox.pending, await outbox.refused()]).toEqual([1, []]);
  await client.connect();
  await empty(outbox);
  expect(sent(server)).toEqual([0]);
});

it('what the server can not take now is tried again, before what comes after', async () => {
  const { server, client, outbox } = outboxOf();
  const refusals = ['unavailable', 'limit_reached', 'internal'];
  server.refuse = ({ event }) => (event === 'publish' ? refusals.shift() : undefined);
  await Promise.all(numbers(3).map((n) => scan(outbox, n)));
  await client.connect();
  await empty(outbox);
  expect(sent(server)).toEqual([0, 1, 2]);
});

it('a full outbox refuses with overflow, and takes more when there is room', async () => {
  const { server, client, outbox } = outboxOf({ max: 2 });
  const outcomes = await Promise.allSettled(numbers(3).map((n) => scan(outbox, n)));
  expect(outcomes).toMatchObject([{ status: 'fulfilled' }, { status: 'fulfilled' }, { reason: { code: 'overflow' } }]);
  await client.connect();
  await empty(outbox);
  await scan(outbox, 3);
  await empty(outbox);
  expect(sent(server)).toEqual([0, 1, 3]);
});

it('two tabs with one store and one lock send everything once and in order', async () => {
  let turn = Promise.resolve();
  let inside = 0;
  const lock = (_: string, run: () => Promise<void>) => {
    turn = turn.then(async () => {
      expect(++inside).toBe(1);
      await run();
      inside--;
    });
    return turn;
  };
  const { server, client, store, outbox } = outboxOf({ lock });
  const second = server.client({ onError: () => {} });
  const other = createOutbox(second, { store, lock });
  for (const n of numbers(40)) await scan(n % 2 ? outbox : other, n);
  await Promise.all([client.connect(), second.connect()]);
  for (const n of numbers(40)) await scan(n % 2 ? outbox : other, 40 + n);
  await empty(outbox);
  await empty(other);
  expect(sent(server)).toEqual(numbers(80));
});

it('says what is wrong', async () => {
  const { client, outbox } = outboxOf();
  await expect(outbox.publish({ warehouse: '', event: 'SCAN' })).rejects.toMatchObject({ code: 'invalid_room' });
  await expect(outbox.publish({ warehouse: 'w', event: 'SCAN', data: () => {} })).rejects.toMatchObject({ code: 'invalid_data' });
  expect(() => createOutbox(client)).toThrow(/no IndexedDB.*give createOutbox a store/);
  expect(() => createOutbox(client, { store: memoryStore(), max: 0 })).toThrow(/max is 0/);
  expect(() => createOutbox(client, { store: memoryStore(), maximum: 5 } as never)).toThrow(/maximum is no option/);
});

it('what was published and is not known to be durable is taken', async () => {
  const { server, client, outbox, errors } = outboxOf();
  server.refuse = ({ event }) => (event === 'publish' ? 'not_durable' : undefined);
  await scan(outbox, 0);
  await client.connect();
  await empty(outbox);
  expect(await outbox.refused()).toEqual([]);
  expect(errors).toMatchObject([{ code: 'not_durable' }]);
});

it('what JSON would lose is refused before it is kept', async () => {
  const { outbox } = outboxOf();
  const published = outbox.publish({ warehouse: 'w', event: 'SCAN', data: new Map([[1, 2]]) });
  await expect(published).rejects.toMatchObject({ code: 'invalid_data' });
  expect(outbox.pending).toBe(0);
});
