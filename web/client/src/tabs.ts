/**
 * One connection for all tabs of an origin. Each tab has a client of its own, with its own rooms and offsets; its
 * transport leads to the tab that holds the Web Lock, whose upstream client has the connection:
 *
 *     tab's client ─▶ link ─▶ BroadcastChannel ─▶ leader ─▶ upstream client ─▶ server
 *
 * When the leading tab ends, the lock goes to another one; all clients come back to it and resume, each from its
 * own offset.
 *
 * @packageDocumentation
 */
import {
  type ClientOptions,
  createWebSocketClient,
  type State,
  type With,
  type ZonecastClient,
  ZonecastError,
} from '@zonecast/client';
import { type ClientMessage, lead, type Leader, type LeaderMessage, type Make } from './leader.js';
import type { Transport, TransportHost } from './transport.js';

export interface SharedOptions {
  /**
   * Tabs with the same name share a connection: those of the same user. Default: the url and the option userId.
   */
  name?: string;
}

/** The longest time of a timer, in milliseconds: the leader has its own connectTimeout. */
const NO_TIMEOUT = 2 ** 31 - 1;

/** So many milliseconds before its time a timer may fire. */
const EARLY = 20;

/**
 * Makes a client that shares its connection with the other tabs of its origin. It is used like any other; from the
 * first connect() on, and until disconnect(), its tab may lead. Without Web Locks or BroadcastChannel (old browsers,
 * pages without https) it has a connection of its own. Throws a ZonecastError as createWebSocketClient does.
 */
export function createSharedClient<Events extends object = {}>(
  options: ClientOptions,
  { name = `${options.url} ${options.userId ?? ''}`, ...unknown }: SharedOptions = {},
): ZonecastClient<With<Events>> {
  for (const option of Object.keys(unknown)) throw new ZonecastError('invalid_option', `${option} belongs into the first argument`);
  // What is debugged is the tab's own client.
  const make: Make = (more) => createWebSocketClient({ ...options, debug: undefined, ...more });
  const locks = (globalThis as { navigator?: { locks?: LockManager } }).navigator?.locks;
  if (!locks || !globalThis.BroadcastChannel) return createWebSocketClient<Events>(options);
  make({}); // throws for what is wrong with the options

  const id = crypto.randomUUID();
  let session: Session | undefined;
  let dials = 0;
  let link: { readonly name: string; readonly host: TransportHost; isEstablished: boolean } | undefined;

  const hear = (message: LeaderMessage) => {
    const { kind } = message;
    if (kind === 'frame') {
      if (link && message.to.includes(link.name)) link.host.received(message.frame);
    } else if (kind === 'welcome') {
      if (!link || message.to !== link.name || link.isEstablished) return;
      link.isEstablished = true;
      transport.name = message.transport;
      link.host.received({ event: 'connected', data: { ...message.info, rooms: [] } });
      void keepAlive(link.host, message.info.heartbeat);
    } else if (kind === 'down') {
      link?.host.lost('the leading tab has no connection', message.details);
    } else {
      if (kind === 'leader' && link?.isEstablished) link.host.lost('another tab leads');
      else if (kind === 'leader' && link) session?.post({ kind: 'hello', tab: link.name });
      if (client.state.name === 'waiting') client.connect().catch(() => {}); // the state has the error
    }
  };

  const transport = {
    name: 'tabs',
    async dial(host: TransportHost) {
      const on = (session ??= openSession(locks, `zonecast ${name}`, id, make, hear));
      // Before its time it is no retry, but somebody who called connect() or looks at the page again.
      const { state } = client;
      const isRetry = state.name === 'waiting' && Date.now() > state.retryAt - EARLY;
      await on.isAlive;
      const mine = (link = { name: `${id} ${++dials}`, host, isEstablished: false });
      const tab = mine.name;
      void host.pause(0).then(() => on.post({ kind: 'hello', tab, isRetry }));
      const leave = () => {
        if (link === mine) link = undefined;
        on.post({ kind: 'bye', tab });
      };
      return { send: (text: string) => on.post({ kind: 'send', tab, text }), close: leave, abort: leave };
    },
  };

  const { token: _, ...own } = options; // the leader's to know
  const client = createWebSocketClient<Events>({ ...own, connectTimeout: NO_TIMEOUT, transports: [transport satisfies Transport] });
  client.onState(({ name }: State) => {
    if (name !== 'closed' && name !== 'failed') return;
    session?.close();
    session = link = undefined;
  });
  return client;
}

/** The upstream client watches the silence of the server; that of the leader ends with its lock. */
async function keepAlive({ pause, received }: TransportHost, heartbeat: number) {
  for (;;) {
    await pause(heartbeat > 0 ? heartbeat : 10_000);
    received({ event: 'ack' }); // an answer to nothing
  }
}

/** A tab's part in the sharing, from connect() to disconnect(). */
interface Session {
  /** Resolves when the leader can find out that this tab is gone. */
  readonly isAlive: Promise<void>;
  /** Tells all tabs, this one included. */
  post(message: ClientMessage | LeaderMessage): void;
  close(): void;
}

function openSession(locks: LockManager, name: string, id: string, make: Make, hear: (message: LeaderMessage) => void): Session {
  const channel = new BroadcastChannel(name);
  const waiting = new AbortController();
  let leader: Leader | undefined;
  let isOpen = true;
  let close!: () => void;
  const closed = new Promise<void>((resolve) => {
    close = resolve;
  });

  const receive = (message: ClientMessage | LeaderMessage) => {
    if (!isOpen) return;
    if (/^(hello|bye|send)$/.test(message.kind)) leader?.hear(message as ClientMessage);
    else hear(message as LeaderMessage);
  };
  const post = (message: ClientMessage | LeaderMessage) => {
    if (!isOpen) return;
    channel.postMessage(message);
    queueMicrotask(() => receive(message));
  };
  channel.onmessage = ({ data }: { data: ClientMessage | LeaderMessage }) => receive(data);

  /** Runs something with a lock, which is kept until what it returns is settled. */
  const withLock = (name: string, run: () => unknown) => {
    const { signal } = waiting;
    locks.request(name, { signal }, async () => isOpen && run()).catch(() => {}); // aborted by close()
  };
  const whenGone = (tab: string, run: () => void) => withLock(`${name} ${tab}`, run);

  const isAlive = new Promise<void>((resolve) =>
    withLock(`${name} ${id}`, () => {
      resolve();
      return closed;
    }),
  );
  withLock(name, () => {
    leader = lead(make, post, whenGone);
    post({ kind: 'leader' });
    return closed;
  });

  return {
    isAlive,
    post,
    close() {
      isOpen = false;
      waiting.abort();
      leader?.close();
      channel.close();
      close();
    },
  };
}
