import { afterEach, expect, test, vi } from 'vitest';
import { createSharedClient } from '@zonecast/client/tabs';
import { createTestServer } from '@zonecast/client/testing';
import { memory } from './memory.js';

const ZONE = 'zone:w:a';
const NodeChannel = BroadcastChannel;

/** The Web Locks of an origin, as far as the client uses them: of each tab, with what its end does to them. */
function fakeLocks() {
  const holders = new Map<string, Promise<unknown>>();
  return () => {
    let end!: () => void;
    const ended = new Promise<void>((resolve) => (end = resolve));
    let isGone = false;
    const request = async (name: string, { signal }: { signal: AbortSignal }, run: () => Promise<unknown>) => {
      const before = holders.get(name);
      const mine = (async () => {
        await before;
        if (!isGone && !signal.aborted) await Promise.race([run(), ended]);
      })();
      holders.set(name, mine.catch(() => {}));
      await mine;
      signal.throwIfAborted();
    };
    return { request, end: () => ((isGone = true), end()) };
  };
}

const open: { kill(): void }[] = [];
afterEach(() => {
  for (const tab of open.splice(0)) tab.kill();
  vi.unstubAllGlobals();
});

/** A server, and tabs of one origin. */
function origin() {
  const server = createTestServer();
  const locksOfTab = fakeLocks();
  const openTab = async (options: object = {}) => {
    const locks = locksOfTab();
    const channels: BroadcastChannel[] = [];
    let isDead = false;
    class Channel extends NodeChannel {
      constructor(name: string) {
        super(name);
        channels.push(this);
      }
      override postMessage(message: unknown) {
        if (!isDead) super.postMessage(message);
      }
    }
    vi.stubGlobal('navigator', { locks });
    vi.stubGlobal('BroadcastChannel', Channel);
    vi.stubGlobal('localStorage', memory());
    const { transport } = server;
    const client = createSharedClient({
      url: 'http://zonecast.test',
      warehouse: 'w',
      zone: 'a',
      backoffBase: 1,
      storage: memory(),
      transports: [{ ...transport, dial: async (host) => (isDead ? new Promise(() => {}) : transport.dial(host)) }],
      onError: (error) => heard.push(error),
      ...options,
    });
    const heard: unknown[] = [];
    client.on('TICK', (data) => heard.push(data));
    client.on('gap', () => heard.push('gap'));
    /** As a tab ends that is closed or crashes: it says nothing. */
    const kill = () => {
      isDead = true;
      for (const channel of channels) channel.close();
      client.disconnect();
      locks.end();
    };
    open.push({ kill });
    await client.connect();
    await vi.waitFor(() => expect(client.state.name).toBe('connected'));
    return { client, heard, kill };
  };
  return { server, openTab };
}

/** Waits until the client is in its rooms and the server has one connection. */
const settled = async (server: ReturnType<typeof createTestServer>, tabs: { client: { subscribe: Function } }[]) => {
  await Promise.all(tabs.flatMap(({ client }) => [client.subscribe('w'), client.subscribe('w', 'a')]));
  await vi.waitFor(() => expect(server.connections).toBe(1), 5000);
};

test('seven tabs have one connection, and each hears everything', async () => {
  const { server, openTab } = origin();
  const tabs = [];
  for (let n = 0; n < 7; n++) tabs.push(await openTab());
  await settled(server, tabs);
  for (let n = 0; n < 50; n++) server.publish(ZONE, 'TICK', n);
  const want = Array.from({ length: 50 }, (_, n) => n);
  for (const { heard } of tabs) await vi.waitFor(() => expect(heard).toEqual(want));
  expect(server.connections).toBe(1);
  expect(tabs[3]?.client.state).toMatchObject({ name: 'connected', transport: 'test' });
});

test('when the leading tab ends another takes over, and nothing is lost or doubled', async () => {
  const { server, openTab } = origin();
  const tabs = [await openTab(), await openTab(), await openTab()];
  await settled(server, tabs);
  let sent = 0;
  const publish = () => server.publish(ZONE, 'TICK', sent++);
  for (let round = 0; round < 2; round++) {
    for (let n = 0; n < 5; n++) publish();
    tabs.shift()?.kill(); // some of these are still on their way to the others
    for (let n = 0; n < 5; n++) publish();
    for (const { heard } of tabs) await vi.waitFor(() => expect(heard.at(-1)).toBe(sent - 1), 5000);
    publish();
    const want = Array.from({ length: sent }, (_, n) => n);
    for (const { heard } of tabs) await vi.waitFor(() => expect(heard).toEqual(want), 5000);
    await vi.waitFor(() => expect(server.connections).toBe(1));
  }
});

test('a leading tab that disconnects hands over, and may come back', async () => {
  const { server, openTab } = origin();
  const [first, second] = [await openTab(), await openTab()];
  await settled(server, [first, second]);
  first.client.disconnect();
  expect(first.client.state.name).toBe('closed');
  server.publish(ZONE, 'TICK', 1);
  await vi.waitFor(() => expect(second.heard).toEqual([1]));
  await first.client.connect();
  await vi.waitFor(() => expect(first.heard).toEqual([1]));
  await settled(server, [first, second]);
  server.publish(ZONE, 'TICK', 2);
  for (const { heard } of [first, second]) await vi.waitFor(() => expect(heard).toEqual([1, 2]));
});

test('a tab that comes later gets what is retained, and the others nothing again', async () => {
  const { server, openTab } = origin();
  const first = await openTab();
  await settled(server, [first]);
  server.publish(ZONE, 'TICK', 'kept', { retain: true });
  server.publish(ZONE, 'OTHER');
  const second = await openTab();
  await vi.waitFor(() => expect(second.heard).toEqual(['kept']));
  await settled(server, [first, second]);
  server.publish(ZONE, 'TICK', 'next');
  for (const { heard } of [first, second]) await vi.waitFor(() => expect(heard).toEqual(['kept', 'next']));
});

test('a tab that was away for longer than the leading tab remembers gets what it missed, and the others nothing again', async () => {
  const { server, openTab } = origin();
  const pages = { keepOffsets: true, storage: memory() };
  const [first, away] = [await openTab(), await openTab(pages)];
  await settled(server, [first, away]);
  away.kill();
  const want = Array.from({ length: 1500 }, (_, n) => n);
  for (const n of want) server.publish(ZONE, 'TICK', n);
  const back = await openTab(pages);
  await vi.waitFor(() => expect(back.heard).toEqual(want), 5000);
  await settled(server, [first, back]);
  server.publish(ZONE, 'TICK', 1500);
  for (const { heard } of [first, back]) await vi.waitFor(() => expect(heard).toEqual([...want, 1500]));
});

test('a tab that joins while messages flow hears all from then on', async () => {
  const { server, openTab } = origin();
  const first = await openTab();
  await settled(server, [first]);
  let sent = 0;
  const flow = setInterval(() => server.publish(ZONE, 'TICK', sent++), 1);
  try {
    const second = await openTab();
    await vi.waitFor(() => expect(second.heard.length).toBeGreaterThan(100), 5000);
    await settled(server, [first, second]);
    const from = second.heard[0] as number;
    expect(second.heard).toEqual(second.heard.map((_, n) => from + n));
    expect(first.heard).toEqual(first.heard.map((_, n) => n));
  } finally {
    clearInterval(flow);
  }
});

test('a connection that breaks is one for all tabs, and a gap is told to each', async () => {
  const { server, openTab } = origin();
  const tabs = [await openTab(), await openTab()];
  await settled(server, tabs);
  server.online = false;
  for (const { client } of tabs) await vi.waitFor(() => expect(client.state.name).not.toBe('connected'));
  server.publish(ZONE, 'TICK', 1);
  server.online = true;
  for (const { heard } of tabs) await vi.waitFor(() => expect(heard).toEqual([1]), 5000);
  server.online = false;
  for (const { client } of tabs) await vi.waitFor(() => expect(client.state.name).not.toBe('connected'));
  server.loseHistory(ZONE);
  server.publish(ZONE, 'TICK', 2);
  server.online = true;
  for (const { heard } of tabs) await vi.waitFor(() => expect(heard).toEqual([1, 'gap', 2]), 5000);
});

test('what a tab publishes arrives once and in order, also when the leading tab ends', async () => {
  const { server, openTab } = origin();
  const [first, second] = [await openTab(), await openTab()];
  await settled(server, [first, second]);
  const publish = (data: number) => second.client.publish({ warehouse: 'w', zone: 'a', event: 'TICK', data });
  const sent = [publish(0), publish(1)];
  await Promise.resolve();
  first.kill();
  sent.push(publish(2));
  expect((await Promise.all(sent)).map(({ room }) => room)).toEqual([ZONE, ZONE, ZONE]);
  expect(server.published.map(({ data }) => data)).toEqual([0, 1, 2]);
  await vi.waitFor(() => expect(second.heard).toEqual([0, 1, 2]));
  expect(await second.client.echo()).toBeGreaterThanOrEqual(0);
});

test('rooms are left with the last tab that wants them, and refusals reach the tab that asked', async () => {
  const { server, openTab } = origin();
  const [first, second] = [await openTab(), await openTab()];
  const asked: string[] = [];
  server.refuse = ({ event, data }) => {
    asked.push(`${event} ${data?.warehouse}`);
    return data?.warehouse === 'secret' ? 'forbidden' : undefined;
  };
  await expect(second.client.subscribe('secret')).rejects.toMatchObject({ code: 'forbidden' });
  await Promise.all([first.client.subscribe('w2'), second.client.subscribe('w2')]);
  await second.client.unsubscribe('w2');
  await settled(server, [first, second]);
  expect(asked).not.toContain('unsubscribe w2');
  first.client.unsubscribe('w2');
  await vi.waitFor(() => expect(asked).toContain('unsubscribe w2'));
  await second.client.subscribe('w3');
  second.kill();
  await vi.waitFor(() => expect(asked).toContain('unsubscribe w3'));
  expect(first.heard).toEqual([]);
});

test('a refusal for good ends all tabs', async () => {
  const { server, openTab } = origin();
  const tabs = [await openTab(), await openTab()];
  await settled(server, tabs);
  server.drop(4403, 'no more');
  for (const { client } of tabs)
    await vi.waitFor(() => expect(client.state).toMatchObject({ name: 'failed', error: { code: 'forbidden', closeCode: 4403 } }));
  expect(server.connections).toBe(0);
});

test('without Web Locks or BroadcastChannel a client has a connection of its own', async () => {
  const { transport, ...server } = createTestServer();
  const options = { url: 'http://zonecast.test', transports: [transport] };
  for (const [name, value] of [['navigator', {}], ['BroadcastChannel', undefined]] as const) {
    vi.stubGlobal('navigator', { locks: fakeLocks()() });
    vi.stubGlobal(name, value);
    const client = createSharedClient(options);
    await client.connect();
    expect(client.state).toMatchObject({ transport: 'test' });
    client.disconnect();
    vi.unstubAllGlobals();
  }
  expect(server.published).toEqual([]);
});

test('wrong options are refused at once', () => {
  vi.stubGlobal('navigator', { locks: fakeLocks()() });
  expect(() => createSharedClient({ url: 'nowhere' })).toThrow(/url is "nowhere"/);
  expect(() => createSharedClient({ url: 'http://zonecast.test' }, { nmae: 'floor' } as never)).toThrow(/nmae/);
});

test('a tab that somebody opens, or whose connect() is called, wakes a leading tab that waits for its next try', async () => {
  const { server, openTab } = origin();
  const backoff = { backoffBase: 3_600_000, backoffCap: 3_600_000 };
  const first = await openTab(backoff);
  server.online = false;
  await vi.waitFor(() => expect(first.client.state.name).toBe('waiting'));
  server.online = true;
  const second = await openTab(backoff); // waits until it is connected
  await vi.waitFor(() => expect(first.client.state.name).toBe('connected'));
  server.online = false;
  for (const { client } of [first, second]) await vi.waitFor(() => expect(client.state.name).toBe('waiting'));
  server.online = true;
  await second.client.connect();
  await vi.waitFor(() => expect(first.client.state.name).toBe('connected'));
});

test('the option debug gets the client of the tab, and no other', async () => {
  const { openTab } = origin();
  const debugged: unknown[] = [];
  const { client } = await openTab({ debug: (made: unknown) => debugged.push(made) });
  expect(debugged).toEqual([client]);
});
