/**
 * An outbox: publications are kept on the device until the server has them, so that what is published offline survives a
 * reload and arrives once, in order.
 *
 *     publish() ─▶ store ─▶ lock ─▶ client.publish(), one by one ─▶ removed
 *                             │               └─ refused for good ─▶ kept aside, onRefused
 *                             └─ the client is not connected: until it is
 *
 * @packageDocumentation
 */
import { refuseSilentLoss } from './lossless.js';
import { formatRoom, type Message, parseRoom, ZonecastError, type ZonecastClient } from '@zonecast/client';

/** A publication with its idempotency key, under which the server takes it once. */
export type KeptMessage = Message & { idempotencyKey: string };

/** A publication that the server refused for good, and why. */
export interface Refused {
  message: KeptMessage;
  code: string;
  /** What a person is to change. */
  reason: string;
}

/** A queue of publications, and what of them was refused. All tabs may use one at once. */
export interface OutboxStore {
  /** Adds one at the end unless there are `max`. Resolves with whether it did. */
  add(message: KeptMessage, max: number): Promise<boolean>;
  /** The oldest one; `id` is its place. */
  first(): Promise<{ id: number; message: KeptMessage } | undefined>;
  remove(id: number): Promise<void>;
  /** Moves one aside, where the newest `max` are kept. */
  refuse(id: number, refused: Refused, max: number): Promise<void>;
  count(): Promise<number>;
  /** What was refused, the oldest first. */
  refused(): Promise<Refused[]>;
  /** Forgets what was refused with this idempotency key. */
  forget(idempotencyKey: string): Promise<void>;
}

export interface OutboxOptions {
  /**
   * The name of the database and of the lock, default "zonecast-outbox". All tabs share the outbox of a name: take another one
   * for each server, and for each user of a shared device.
   */
  name?: string;
  /** Default: a database of IndexedDB. */
  store?: OutboxStore;
  /** How many publications it keeps, and how many that were refused. At least 1, default 10000. */
  max?: number;
  /** Gets what the server refused for good. Default: the client's onError gets the error. */
  onRefused?: (refused: Refused) => unknown;
  /**
   * Runs one function of a name at a time, in all tabs. Default: Web Locks. Where there are none (a page by http, React
   * Native), only one tab may have an outbox of a name open; a second one can't double, but can shuffle.
   */
  lock?: (name: string, run: () => Promise<void>) => Promise<void>;
}

export interface Outbox {
  /** How many publications the server does not have yet, all tabs together, when this one last looked. */
  readonly pending: number;
  /** Calls the listener with `pending` whenever it changes. Returns what removes it. */
  onPending(listener: (pending: number) => unknown): () => void;
  /**
   * Keeps a publication and sends it when its turn comes. Resolves with its idempotency key when it is stored. Rejects with
   * overflow when the outbox is full, invalid_room, and invalid_data for what can't be stored.
   */
  publish(message: Message): Promise<string>;
  /** What the server refused for good, the oldest first; it stays until forget(). */
  refused(): Promise<Refused[]>;
  forget(idempotencyKey: string): Promise<void>;
  /** Stops sending. What is kept stays kept. */
  close(): void;
}

/** What says nothing about the message itself: the same one may be taken later. */
const PASSES =
  /^(unavailable|rate_limited|limit_reached|quota_exceeded|internal|unauthenticated|connection_lost|connect_failed|not_connected|gave_up|timeout|overflow|closed)$/;

/** The wait after a failure that may pass, while the client is connected, in milliseconds. */
const PAUSE = 1000;

/**
 * Makes an outbox of the client, which connects and disconnects as ever: it sends while the client is connected. Throws
 * invalid_option where there is no IndexedDB and no store is given.
 */
export function createOutbox(client: ZonecastClient<any>, options: OutboxOptions = {}): Outbox {
  const { name = 'zonecast-outbox', max = 10_000, store = openDatabase(name), lock = webLock } = options;
  for (const option of Object.keys(options))
    if (!/^(name|max|store|lock|onRefused)$/.test(option)) throw new ZonecastError('invalid_option', `${option} is no option of an outbox: leave it out`);
  if (!(max >= 1)) throw new ZonecastError('invalid_option', `max is ${max}, it must be a number of at least 1, like 10000`);
  const report = client.onError ?? console.error;
  const {
    onRefused = ({ message, code, reason }: Refused) => report(new ZonecastError(code, `${message.event} was refused: ${reason}`)),
  } = options;
  const keyPrefix = `${Date.now()}-${Math.random()}`;
  const listeners = new Set<(pending: number) => unknown>();
  let lastKey = 0;
  let pending = 0;
  let sending = false;
  let wanted = false;
  let closed = false;

  const attempt = async (run: () => unknown) => {
    try {
      await run();
    } catch (error) {
      report(error);
    }
  };

  const count = async () => {
    const now = await store.count();
    if (now === pending) return;
    pending = now;
    for (const listener of [...listeners]) void attempt(() => listener(now));
  };

  /** Whether the server has refused this message; a client that is refused as a whole has said nothing about it. */
  const isRefusal = ({ code, retryAfter }: ZonecastError) =>
    !PASSES.test(code) && !retryAfter && (code === 'too_large' || client.state.name === 'connected');

  const sendFirst = async ({ id, message }: { id: number; message: KeptMessage }) => {
    try {
      await client.publish(message);
      await store.remove(id);
    } catch (error) {
      // Errors of the store have no code.
      const { code, message: reason } = error as ZonecastError;
      if (!(error instanceof ZonecastError)) throw error;
      if (code === 'not_durable') {
        // It was published all the same.
        await store.remove(id);
        report(error);
      } else if (isRefusal(error)) {
        const refused = { message, code, reason };
        await store.refuse(id, refused, max);
        await attempt(() => onRefused(refused));
      } else if (client.state.name === 'connected') await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
    await count();
  };

  const sendAll = async () => {
    await count();
    while (!closed && client.state.name === 'connected') {
      const first = await store.first();
      if (!first) return;
      await sendFirst(first);
    }
  };

  /** There may be something to send. */
  const wake = async () => {
    wanted = true;
    if (sending) return;
    sending = true;
    while (wanted && !closed && client.state.name === 'connected') {
      wanted = false;
      await attempt(() => lock(name, sendAll));
    }
    sending = false;
  };

  const stop = client.onState(() => void wake());
  void attempt(count);
  void wake();

  return {
    get pending() {
      return pending;
    },
    onPending(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async publish(message) {
      parseRoom(formatRoom(message)); // throws
      const kept = { idempotencyKey: `${keyPrefix}-${++lastKey}`, ...message };
      try {
        JSON.stringify(message.data, refuseSilentLoss);
      } catch (cause) {
        throw new ZonecastError('invalid_data', `${message.event} has no JSON form: ${cause}`, { cause });
      }
      try {
        if (!(await store.add(kept, max))) throw new ZonecastError('overflow', `${max} publications wait in the outbox`);
      } catch (error) {
        if ((error as Error).name !== 'DataCloneError') throw error;
        throw new ZonecastError('invalid_data', `${message.event} can't be stored: ${(error as Error).message}`, { cause: error });
      }
      await count();
      void wake();
      return kept.idempotencyKey;
    },
    refused: () => store.refused(),
    forget: (key) => store.forget(key),
    close() {
      closed = true;
      stop();
      listeners.clear();
    },
  };
}

/** A store that lasts as long as the page, for tests. */
export function memoryStore(): OutboxStore {
  const queue = new Map<number, KeptMessage>();
  let aside: Refused[] = [];
  let lastId = 0;
  return {
    async add(message, max) {
      if (queue.size >= max) return false;
      queue.set(++lastId, structuredClone(message));
      return true;
    },
    async first() {
      for (const [id, message] of queue) return { id, message };
      return undefined;
    },
    remove: async (id) => void queue.delete(id),
    async refuse(id, refused, max) {
      queue.delete(id);
      aside = [...aside, refused].slice(-max);
    },
    count: async () => queue.size,
    refused: async () => [...aside],
    async forget(key) {
      aside = aside.filter(({ message }) => message.idempotencyKey !== key);
    },
  };
}

/** What `lock` is where the application has none. */
function webLock(name: string, run: () => Promise<void>): Promise<void> {
  const { locks } = (globalThis as { navigator?: Partial<Navigator> }).navigator ?? {};
  return locks ? locks.request(name, run) : run();
}

const QUEUE = 'queue';
const REFUSED = 'refused';

/** Opens the database at the first use. Each operation is one transaction, so that tabs don't come between. */
function openDatabase(name: string): OutboxStore {
  if (!globalThis.indexedDB) throw new ZonecastError('invalid_option', 'there is no IndexedDB here: give createOutbox a store');
  let opened: Promise<IDBDatabase> | undefined;

  const open = () => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => {
      for (const store of [QUEUE, REFUSED]) request.result.createObjectStore(store, { autoIncrement: true });
    };
    return new Promise<IDBDatabase>((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  };

  /** Runs a transaction over both; resolves with what `work` handed to `result` once it is on disk. */
  const transact = async <T>(
    mode: IDBTransactionMode,
    work: (queue: IDBObjectStore, refused: IDBObjectStore, result: (value: T) => void) => void,
  ) => {
    opened ??= open();
    const database = await opened.catch((error) => {
      opened = undefined; // the next one tries again
      throw error;
    });
    return new Promise<T>((resolve, reject) => {
      const transaction = database.transaction([QUEUE, REFUSED], mode, { durability: 'strict' });
      let value: T;
      transaction.oncomplete = () => resolve(value);
      transaction.onabort = () => reject(transaction.error);
      work(transaction.objectStore(QUEUE), transaction.objectStore(REFUSED), (found) => {
        value = found;
      });
    });
  };

  /** Calls `visit` with each entry, the oldest first, until it returns false. */
  const walk = (store: IDBObjectStore, visit: (cursor: IDBCursorWithValue) => unknown) => {
    store.openCursor().onsuccess = ({ target }) => {
      const cursor = (target as IDBRequest<IDBCursorWithValue | null>).result;
      if (cursor && visit(cursor) !== false) cursor.continue();
    };
  };

  return {
    async add(message, max) {
      const kept = structuredClone(message); // as it is now; what can't be cloned throws here
      return transact('readwrite', (queue, _, result) => {
        const counted = queue.count();
        counted.onsuccess = () => {
          const fits = counted.result < max;
          if (fits) queue.add(kept);
          result(fits);
        };
      });
    },
    first: () =>
      transact('readonly', (queue, _, result) =>
        walk(queue, ({ key, value }) => {
          result({ id: key as number, message: value });
          return false;
        }),
      ),
    remove: (id) => transact('readwrite', (queue) => void queue.delete(id)),
    refuse: (id, refused, max) =>
      transact('readwrite', (queue, aside) => {
        queue.delete(id);
        aside.add(refused);
        const counted = aside.count();
        counted.onsuccess = () => {
          let over = counted.result - max;
          walk(aside, (cursor) => over-- > 0 && (cursor.delete(), true));
        };
      }),
    count: () =>
      transact('readonly', (queue, _, result) => {
        const counted = queue.count();
        counted.onsuccess = () => result(counted.result);
      }),
    refused: () =>
      transact('readonly', (_, aside, result) => {
        const all = aside.getAll();
        all.onsuccess = () => result(all.result);
      }),
    forget: (key) =>
      transact('readwrite', (_, aside) => walk(aside, (cursor) => void (cursor.value.message.idempotencyKey === key && cursor.delete()))),
  };
}
