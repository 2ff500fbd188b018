/**
 * A server in memory for the tests of applications: the client is the real one, with all that it does about
 * offsets, gaps and coming back; only the network is not there.
 *
 *     const server = createTestServer();
 *     const client = server.client({ warehouse: 'warehouse-1', zone: 'zone-a' });
 *     await client.connect();
 *     server.publish('zone:warehouse-1:zone-a', 'ZONE_UPDATE', { pickRate: 1402 });
 *     server.drop();                                                     // the client comes back
 *
 * @packageDocumentation
 */
import {
  type ClientOptions,
  createClient,
  type ErrorCode,
  formatRoom,
  parseRoom,
  type With,
  type ZonecastClient,
} from '@zonecast/client';
import type { OpenTransport, Transport, TransportHost } from './transport.js';

/** What a client asked for by a frame: "subscribe", "unsubscribe", "publish", "echo" or "authenticate". */
export interface ClientRequest {
  event: string;
  data: any;
}

/** What a client published. */
export interface Published {
  room: string;
  event: string;
  data: unknown;
  offset: string;
}

export interface TestServer {
  /** The way to this server, for what makes clients itself, like createSharedClient. */
  readonly transport: Transport;
  /** A client of this server. It knows no other transport. */
  client<Events extends object = {}>(options?: Omit<Partial<ClientOptions>, 'transports'>): ZonecastClient<With<Events>>;
  /**
   * Publishes to a room, "zone:{warehouse}:{zone}" or "warehouse:{warehouse}". Listeners run before it returns; those of a
   * client that has just connected run a moment later, as they do on a network (a timer of 0 ms). With `retain`, whoever
   * joins later gets it first. Returns the offset.
   */
  publish(room: string, event: string, data?: unknown, options?: { retain?: boolean }): string;
  /** All that clients published, the oldest first. */
  readonly published: Published[];
  /** How many connections there are. */
  readonly connections: number;
  /** While it is false no client can connect; setting it so cuts all connections. */
  online: boolean;
  /** Decides which requests are refused, with which code; undefined lets them pass. */
  refuse: (request: ClientRequest) => ErrorCode | undefined;
  /** Cuts all connections, like a network does, or with a close code. Clients come back by themselves. */
  drop(code?: number, reason?: string): void;
  /** Forgets what was published to a room: clients that were in it are told a gap. */
  loseHistory(room: string): void;
}

interface Frame {
  event: string;
  [field: string]: unknown;
}

interface TestRoom {
  epoch: number;
  /** The frames of this epoch; the offset of the first one is 1. */
  history: Frame[];
  retained: Map<string, Frame>;
}

interface Client {
  host: TransportHost;
  rooms: Set<string>;
}

/** Makes a server of its own. Two of them share nothing. */
export function createTestServer(): TestServer {
  const rooms = new Map<string, TestRoom>();
  const clients = new Set<Client>();
  const published: Published[] = [];
  const answers = new Map<string, string>();
  let online = true;
  let connections = 0;

  const roomOf = (name: string) => {
    const room = rooms.get(name) ?? { epoch: 1, history: [], retained: new Map<string, Frame>() };
    rooms.set(name, room);
    return room;
  };
  const offsetOf = ({ epoch, history }: TestRoom, n = history.length) => `test${epoch}-${n}`;

  /** What a client gets that joins after this offset, or without one. */
  const missed = (name: string, offset: string | undefined): Frame[] => {
    const room = roomOf(name);
    if (!offset) return [...room.retained.values()].map((frame) => ({ ...frame, retained: true }));
    const [epoch, n] = offset.split('-');
    if (epoch === `test${room.epoch}`) return room.history.slice(Number(n));
    return [{ event: 'gap', data: { room: name, from: offset, to: offsetOf(room, 0) } }, ...room.history];
  };

  const join = (client: Client, name: string, offset: string | undefined) => {
    client.rooms.add(name);
    for (const frame of missed(name, offset)) client.host.received(frame);
  };

  const publish = (name: string, event: string, data: unknown, retain?: boolean) => {
    const room = roomOf(formatRoom(parseRoom(name)));
    const offset = offsetOf(room, room.history.length + 1);
    // As it would come over a network: a copy that nobody changes behind the publisher's back.
    const frame = { event, room: name, offset, time: Date.now(), data: JSON.parse(JSON.stringify(data ?? null)) };
    room.history.push(frame);
    if (retain) room.retained.set(event, frame);
    for (const { host, rooms } of [...clients]) if (rooms.has(name)) host.received(frame);
    return offset;
  };

  const answer = (client: Client, id: number, { event, data }: ClientRequest) => {
    const code = server.refuse({ event, data });
    if (code) return client.host.received({ event: 'error', id, data: { code, message: `the test server refuses to ${event}` } });
    const name = 'warehouse' in Object(data) ? formatRoom(data) : '';
    const ack = (data: unknown) => client.host.received({ event: 'ack', id, data });
    if (event === 'subscribe') {
      ack({ room: name, offset: offsetOf(roomOf(name)) });
      join(client, name, data.offset);
    } else if (event === 'unsubscribe') {
      client.rooms.delete(name);
      ack({ room: name });
    } else if (event === 'publish') {
      const key = `${name} ${data.idempotencyKey}`;
      const offset = answers.get(key) ?? publish(name, data.event, data.data);
      if (!answers.has(key)) published.push({ room: name, event: data.event, data: data.data, offset });
      answers.set(key, offset);
      ack({ room: name, offset });
    } else ack(event === 'echo' ? data : { expires: 0 });
  };

  const transport: Transport = {
    name: 'test',
    async dial(host): Promise<OpenTransport> {
      if (!online) throw Error('the test server is not online');
      await host.token();
      const client: Client = { host, rooms: new Set() };
      clients.add(client);
      const leave = () => void clients.delete(client);
      const later = (run: () => void) => void turns().then(() => clients.has(client) && run());
      later(() => greet(client, new URL(host.url('/test', { subscribesByFrame: true })).searchParams));
      return {
        send: (text, id) => later(() => answer(client, id, JSON.parse(text))),
        close: leave,
        abort: leave,
      };
    },
  };

  const greet = (client: Client, query: URLSearchParams) => {
    const [warehouse, zone] = [query.get('warehouse'), query.get('zone')];
    const cursor = new Map((query.get('cursor') ?? '').split(',').map((place) => place.split('@') as [string, string]));
    cursor.delete('');
    for (const name of [...(warehouse ? [`warehouse:${warehouse}`] : []), ...(zone ? [`zone:${warehouse}:${zone}`] : []), ...query.getAll('room')])
      if (!cursor.has(name)) cursor.set(name, '');
    const joined = [...cursor.keys()].map((room) => ({ room, offset: offsetOf(roomOf(room)) }));
    const data = { connectionId: `test-${++connections}`, rooms: joined, heartbeat: 30_000, serverTime: Date.now(), node: 'test' };
    client.host.received({ event: 'connected', data });
    for (const [name, offset] of cursor) if (clients.has(client)) join(client, name, offset);
  };

  const drop = (code = 1006, reason = '') => {
    for (const { host } of [...clients]) host.lost(`closed with code ${code}${reason && `, ${reason}`}`, { closeCode: code });
    clients.clear();
  };

  const server: TestServer = {
    transport,
    client: (options) => createClient({ url: 'http://zonecast.test', ...options, transports: [transport] }),
    publish: (room, event, data, { retain } = {}) => publish(room, event, data, retain),
    published,
    get connections() {
      return clients.size;
    },
    get online() {
      return online;
    },
    set online(value) {
      online = value;
      if (!value) drop();
    },
    refuse: () => undefined,
    drop,
    loseHistory(name) {
      const room = roomOf(name);
      const from = offsetOf(room);
      Object.assign(room, { epoch: room.epoch + 1, history: [] });
      room.retained.clear();
      const gap = { event: 'gap', data: { room: name, from, to: offsetOf(room) } };
      for (const { host, rooms } of [...clients]) if (rooms.has(name)) host.received(gap);
    },
  };
  return server;
}

/** Lets those who wait for a promise go on, without a timer, which a test may have replaced. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await undefined;
}
