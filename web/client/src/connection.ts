import { backoff } from './backoff.js';
import { CloseCode, nameOf } from './close.js';
import { type ErrorDetails, isPermanent, isTransient, serverError, ZonecastError } from './errors.js';
import type { Connected, Limits } from './events.js';
import { decodeFrame, encodeFrame, type ServerFrame } from './frame.js';
import type { Memberships } from './memberships.js';
import type { Settings } from './options.js';
import { DEFAULT_RATE, makeBucket } from './pace.js';
import { startTimer, type Timer } from './timer.js';
import { expiryOf } from './token.js';
import type { OpenTransport, Transport } from './transport.js';

/** One connection over one transport, from dialling to its end; never used again after that. */
export interface Connection {
  readonly transport: Transport;
  /** Whether rooms are joined and left by frames; else by repeating the request that names them. */
  subscribesByFrame(): boolean;
  /**
   * Sends a request. `answered` is called while the frame of the answer is being read, so that
   * it comes before the frames that follow; a promise would come after them. It is not called when
   * the connection ends. What has `sent`, which is called when it goes out, keeps its order; the rest
   * overtakes it, and where there is a request that reads, with the rooms and the token of now, that
   * is repeated instead. Returns what forgets the request: it is not sent then, if it was not yet.
   */
  request(
    event: string,
    data: unknown,
    answered: Call['answered'],
    sent?: Call['sent'],
  ): (() => void) | void;
  /** Runs something after some milliseconds, unless the connection ends before. */
  after(ms: number, run: () => void): void;
  /** Runs something later, on this connection, if the error is transient. Returns whether it is. */
  retry(error: ZonecastError, run: () => void): boolean;
  /** Asks the server for a sign of life; without one in time, the connection is lost. */
  check(): void;
  /** Takes the connection for lost. */
  drop(problem: string): void;
  /** Ends the connection without telling its owner. */
  close(): void;
}

/** A request without an answer yet. */
interface Call {
  text: string;
  answered: (error?: ZonecastError, data?: unknown) => void;
  sent: (() => void) | undefined;
  isSent?: boolean;
}

/** What a connection tells its owner. After `lost` or close() it says nothing more. */
export interface Owner {
  /** The first `connected` frame: the connection is established. */
  established(connection: Connection, connected: Connected): void;
  /** The server has joined an established connection to rooms. */
  joined(connection: Connection, connected: Connected): void;
  /** Any frame but `connected` and the answers to requests. */
  received(frame: ServerFrame): void;
  /** The connection is over. */
  lost(connection: Connection, loss: Loss): void;
}

/** How a connection was lost, as far as it decides what the client does next. */
export interface Loss {
  error: ZonecastError;
  /** The server answered over this transport, so the transport is not at fault. */
  answered: boolean;
  /** The milliseconds until the client may come back, if the server named them, else 0. */
  retryAfter: number;
  /** The server has already spread `retryAfter` over its clients. */
  jittered: boolean;
}

/** In milliseconds, when the server does not say how often its heartbeat comes. */
const DEFAULT_HEARTBEAT = 30_000;

/** A token is renewed when this share of its lifetime is over. */
const RENEW_AT = 0.8;

const FIRST_FRAME = '"connected" frame';

/** How long a sign of life may take, in milliseconds. */
const CHECK_TIMEOUT = 3000;

/** How often to look whether the server is silent or the machine was asleep, in milliseconds. */
const TICK = 1000;

/** A tick that is so late, in milliseconds, was slept through. */
const SLEEP = 20_000;

/**
 * Dials.
 *
 *     transport ─▶ `connected` frame ─▶ frames, requests, silence watched, token ─▶ lost | close()
 *
 * The connection owns all its timers, so its end is the end of them.
 */
export function connect(
  settings: Settings,
  transport: Transport,
  memberships: Memberships,
  owner: Owner,
): Connection {
  const { base, userId, token: givenToken, connectTimeout, onError, backoffBase, backoffCap, WebSocket, parse } =
    settings;
  /** By their ids, in order. */
  const pending = new Map<number, Call>();
  const timers = new Set<Timer>();
  let open: OpenTransport | undefined;
  let token: string | undefined;
  /** What must come in time; nothing once the connection is established. */
  let awaited: string;
  let ended = false;
  /** The server's error frame before `connected`. */
  let refusal: ZonecastError | undefined;
  /**
   * What came in the same moment as `connected`: whoever awaited connect() gets the chance to
   * listen first.
   */
  let buffered: ServerFrame[] | undefined;
  /** On the clock of performance.now(): a frame must have come by then; `patience` after the last one. */
  let deadline: number;
  let patience: number;
  let lastId = 0;
  /** On the clock of performance.now(): when the server wants us back; 0 if it did not say so. */
  let returnAt = 0;
  let draining = false;
  /** How many waits nothing is sent in: for the server's rate limit, and after refusals for the moment. */
  let pauses = 0;
  /**
   * How many requests that keep their order may be sent and without an answer: after a refusal for
   * the moment one, until all are answered.
   */
  let width: number;
  /** The server's limits, from `connected` on. */
  let takeToken: () => number;
  let maxFrameBytes: number;

  const connection: Connection = {
    transport,
    subscribesByFrame: () => !open?.repeat,
    request(event, data, answered, sent) {
      if (awaited || ended) return;
      if (!sent && open?.repeat) return open.repeat();
      const id = ++lastId;
      try {
        const text = encodeFrame(event, data, id);
        const size = new TextEncoder().encode(text).length;
        if (size > maxFrameBytes)
          throw new ZonecastError('too_large', `${event} has ${size} bytes, the server takes ${maxFrameBytes}`);
        pending.set(id, { text, answered, sent });
      } catch (error) {
        answered(error as ZonecastError);
      }
      flush();
      return () => {
        pending.delete(id);
        flush();
      };
    },
    after(ms, run) {
      if (ended) return;
      const timer = startTimer(ms, () => {
        timers.delete(timer);
        run();
      });
      timers.add(timer);
    },
    retry(error, run) {
      const transient = isTransient(error);
      if (transient) connection.after((error.retryAfter ?? 0) + backoff(1, backoffBase, backoffCap), run);
      return transient;
    },
    check() {
      const limit = performance.now() + CHECK_TIMEOUT;
      if (!(deadline > limit)) return;
      deadline = limit;
      // Where there is a request that reads, that is repeated. Any frame is a sign of life.
      connection.request('echo', null, () => {});
    },
    drop: lost,
    close() {
      end();
      open?.close();
    },
  };
  const { after } = connection;

  /** Sends what the server's rate limit permits, and the rest when it does. */
  const flush = () => {
    // Several POSTs at once would overtake one another.
    if (!pending.size) width = open?.repeat ? 1 : Infinity;
    while (!pauses && !ended) {
      const unsent = [...pending].filter(([, { isSent }]) => !isSent);
      const turn = pending.size - unsent.length < width ? unsent[0] : undefined;
      const next = unsent.find(([, { sent }]) => !sent) ?? turn;
      if (!next) return;
      const wait = takeToken();
      if (wait) {
        pauses++;
        return after(wait, resume);
      }
      const [id, call] = next;
      call.isSent = true;
      call.sent?.();
      try {
        open?.send(call.text, id);
      } catch (cause) {
        settle(id, failure('not sent', { cause }));
      }
    }
  };

  const resume = () => {
    pauses--;
    flush();
  };

  /** What keeps its order and is refused for the moment goes out again, and what follows waits with it. */
  const settle = (id: number, error?: ZonecastError, data?: unknown) => {
    const call = pending.get(id);
    if (error && call?.sent && connection.retry(error, resume)) {
      call.isSent = false;
      width = 1;
      pauses++;
    } else pending.delete(id);
    call?.answered(error, data);
    flush();
  };

  const end = () => {
    ended = true;
    for (const timer of timers) clearTimeout(timer);
  };

  const failure = (problem: string, { closeCode, cause = refusal, retryAfter }: ErrorDetails = {}) => {
    const { code, message = cause } = (cause ?? {}) as Partial<ZonecastError>;
    return new ZonecastError(
      [nameOf(closeCode), code].find(isPermanent) ??
        (awaited ? 'connect_failed' : closeCode === CloseCode.too_big ? 'too_large' : 'connection_lost'),
      `${base.host} by ${transport.name}: ${problem}${message ? `: ${message}` : ''}`,
      { cause, closeCode, retryAfter },
    );
  };

  function lost(problem: string, details: ErrorDetails = {}) {
    if (ended) return;
    const now = performance.now();
    if (details.retryAfter) returnAt = now + details.retryAfter;
    const error = failure(problem, details);
    const loss = {
      error,
      answered: !awaited || !!refusal || !!returnAt,
      retryAfter: Math.max(0, returnAt - now),
      jittered: draining,
    };
    end();
    // Unless the server is draining, it may be dead: no closing handshake is waited for then.
    if (draining) open?.close();
    else open?.abort();
    // One of those that the server was sent is too large for what is on the way; which one, nobody
    // says.
    if (error.code === 'too_large')
      for (const { isSent, sent, answered } of pending.values()) if (sent && isSent) answered(error);
    owner.lost(connection, loss);
  }

  const fetchToken = async () => {
    try {
      token = await (givenToken as () => string | Promise<string>)();
      if (!token) throw Error('it returned none');
    } catch (cause) {
      const { code = 'connect_failed', message = cause } = (cause ?? {}) as Partial<ZonecastError>;
      throw new ZonecastError(code, `the token function failed: ${message}`, { cause });
    }
    if (ended) throw Error('ended');
  };

  /**
   * Renews a token before it expires by the server's clock, which is `clockSkew` ms ahead of ours.
   */
  const scheduleTokenRenewal = (clockSkew: number) => {
    const expiry = expiryOf(token); // of a function alone
    if (!expiry) return;
    after(Math.max(1000, RENEW_AT * (expiry - Date.now() - clockSkew)), async () => {
      try {
        await fetchToken();
        connection.request('authenticate', { token }, (error) => error && onError(error));
      } catch (error) {
        onError(error);
      }
      scheduleTokenRenewal(clockSkew);
    });
  };

  /**
   * Takes silence for the end, whatever the network says. Whoever slept can't trust the connection,
   * and monotonic clocks may have slept too.
   */
  const watch = (since: number) =>
    after(TICK, () => {
      const now = Date.now();
      if (now - since > SLEEP) connection.check();
      if (performance.now() >= deadline) lost('silent');
      watch(now);
    });

  const handle = (frame: ServerFrame) => {
    const { event, id, data } = frame;
    // An answer to nothing is one that came after its timeout.
    if (event === 'connected') return handleConnected(data as Connected);
    if (event === 'ack') return settle(id as number, undefined, data);
    const isError = event === 'error';
    if (isError || event === 'drain') {
      const error = serverError(data);
      const { retryAfter = 0 } = error;
      if (isError && id) return settle(id, error);
      if (isError && awaited) refusal = error;
      if (retryAfter) returnAt = performance.now() + retryAfter;
      if (!isError) {
        draining = retryAfter > 0; // a server that is always leaving, at once, gets no more tries than others
        after(retryAfter, () => lost('drained'));
      }
    }
    owner.received(frame);
  };

  const handleConnected = (connected: Connected) => {
    if (!connected?.rooms?.every?.((position) => position?.room))
      return lost('another version');
    if (!awaited) return owner.joined(connection, connected);
    awaited = '';
    const { frameBytes = Infinity, frames = DEFAULT_RATE } = (connected.limits ?? {}) as Partial<Limits>;
    maxFrameBytes = frameBytes;
    takeToken = makeBucket(frames);
    flush();
    buffered = [];
    after(0, () => {
      const frames = buffered as ServerFrame[];
      buffered = undefined;
      for (const frame of frames) if (!ended) handle(frame);
    });
    patience = 2 * (connected.heartbeat > 0 ? connected.heartbeat : DEFAULT_HEARTBEAT);
    watch(Date.now());
    scheduleTokenRenewal(connected.serverTime - Date.now() || 0);
    owner.established(connection, connected);
  };

  /** Bounds the time until something is there, or until there is something else to wait for. */
  const expect = (what: string) => {
    awaited = what;
    after(connectTimeout, () => awaited === what && lost(`no ${what} within ${connectTimeout} ms`));
  };
  expect(typeof givenToken === 'function' ? 'token from the token function' : FIRST_FRAME);

  transport
    .dial({
      WebSocket,
      parse,
      url(path, { extra, subscribesByFrame }) {
        // By hand: the URL of React Native can only be read.
        const [address, given] = base.href.split(/\/?(?:\?(.*))?$/);
        const user = userId && `${new URLSearchParams({ userId })}`;
        const query = [given, ...memberships.query(subscribesByFrame), user, extra];
        return `${address}${path}?${query.filter(Boolean).join('&')}`;
      },
      async token() {
        if (typeof givenToken !== 'function') return givenToken;
        if (!token) {
          await fetchToken();
          expect(FIRST_FRAME);
        }
        return token;
      },
      received(input, apart) {
        if (ended) return;
        try {
          const frame = decodeFrame(input, parse);
          if (buffered) buffered.push(frame);
          else handle(frame);
        } catch (error) {
          onError(error);
        }
        if (!apart) deadline = performance.now() + patience;
      },
      lost,
      refused(problem, details) {
        const { closeCode, retryAfter } = details;
        const isOfRoom = !awaited && closeCode && closeCode !== CloseCode.unauthenticated && !retryAfter;
        if (!isOfRoom || !memberships.refused(failure(problem, details))) lost(problem, details);
      },
      pause: (ms) => new Promise((resolve) => after(ms, resolve)),
    })
    .then(
      (opened) => {
        open = opened;
        if (ended) open.abort();
      },
      (cause) => lost('not dialled', { cause }),
    );
  return connection;
}
