import { backoff } from './backoff.js';
import { nameOf } from './close.js';
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
  /** Repeats the request that names the rooms, where there is one. */
  repeatRequest(): void;
  /**
   * Sends a request. One of the two is called while the frame of the answer is being read, so that
   * it comes before the frames that follow; a promise would come after them. Neither is called when
   * the connection ends.
   */
  request(event: string, data: unknown, ack: (data: unknown) => void, fail: (error: ZonecastError) => void): void;
  /** Runs something after some milliseconds, unless the connection ends before. */
  after(ms: number, run: () => void): void;
  /** Runs something later, on this connection, if the error is transient. Returns whether it is. */
  retryTransient(error: ZonecastError, run: () => void): boolean;
  /** Asks the server for a sign of life; without one in time, the connection is lost. */
  check(): void;
  /** Takes the connection for lost. */
  drop(problem: string): void;
  /** Ends the connection without telling its owner. */
  close(): void;
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

/** How long a sign of life may take, in milliseconds. */
const CHECK_TIMEOUT = 3000;

/** How often to look whether the machine was asleep, in milliseconds, and for how long at least. */
const SLEEP_CHECK = 10_000;

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
  const pending = new Map<unknown, [ack: (data: unknown) => void, fail: (error: ZonecastError) => void]>();
  const timers = new Set<Timer>();
  let open: OpenTransport | undefined;
  let token: string | undefined;
  let established = false;
  let ended = false;
  /** The server's error frame before `connected`. */
  let refusal: ZonecastError | undefined;
  /**
   * What came in the same moment as `connected`: whoever awaited connect() gets the chance to
   * listen first.
   */
  let buffered: ServerFrame[] | undefined;
  let lastFrameAt = 0;
  let lastId = 0;
  /** On the clock of performance.now(): when the server wants us back; 0 if it did not say so. */
  let returnAt = 0;
  let draining = false;
  let checking = false;
  /** What waits for the server's rate limit, in order. */
  const outgoing: [text: string, id: number][] = [];
  let flushing = false;
  /** The server's limits, from `connected` on. */
  let takeToken: () => number;
  let maxFrameBytes: number;

  const connection: Connection = {
    transport,
    subscribesByFrame: () => !open?.repeatRequest,
    repeatRequest: () => open?.repeatRequest?.(),
    request(event, data, ack, fail) {
      if (!established || ended) return;
      try {
        const text = encodeFrame(event, data, ++lastId);
        const size = new TextEncoder().encode(text).length;
        if (size > maxFrameBytes)
          throw new ZonecastError('too_large', `${event} has ${size} bytes, the server takes ${maxFrameBytes}`);
        pending.set(lastId, [ack, fail]);
        outgoing.push([text, lastId]);
      } catch (error) {
        return fail(error as ZonecastError);
      }
      flush();
    },
    after(ms, run) {
      if (ended) return;
      const timer = startTimer(ms, () => {
        timers.delete(timer);
        run();
      });
      timers.add(timer);
    },
    retryTransient(error, run) {
      const transient = isTransient(error);
      if (transient) connection.after((error.retryAfter ?? 0) + backoff(1, backoffBase, backoffCap), run);
      return transient;
    },
    check() {
      if (checking || !established) return;
      checking = true;
      const alive = () => {
        checking = false;
      };
      // A refusal is a sign of life too.
      connection.request('echo', null, alive, ({ code }) => code === 'connection_lost' || alive());
      after(CHECK_TIMEOUT, () => checking && lost(`no answer within ${CHECK_TIMEOUT} ms`));
    },
    drop: (problem) => lost(problem),
    close() {
      end();
      open?.close();
    },
  };
  const { after } = connection;

  const send = (text: string, id: number) => {
    try {
      open?.send(text, id);
    } catch (cause) {
      const [, fail] = pending.get(id) ?? [];
      pending.delete(id);
      fail?.(failure('not sent', { cause }));
    }
  };

  /** Sends what the server's rate limit permits, and the rest when it does. */
  const flush = () => {
    if (flushing) return;
    let wait = 0;
    while (outgoing.length && !(wait = takeToken())) send(...(outgoing.shift() as [string, number]));
    if (!outgoing.length) return;
    flushing = true;
    after(wait, () => {
      flushing = false;
      flush();
    });
  };

  const end = () => {
    ended = true;
    for (const timer of timers) clearTimeout(timer);
  };

  const failure = (problem: string, { closeCode, cause = refusal, retryAfter }: ErrorDetails = {}) => {
    const { code, message = cause } = (cause ?? {}) as Partial<ZonecastError>;
    return new ZonecastError(
      [nameOf(closeCode), code].find(isPermanent) ?? (established ? 'connection_lost' : 'connect_failed'),
      `${base.host} by ${transport.name}: ${problem}${message ? `: ${message}` : ''}`,
      { cause, closeCode, retryAfter },
    );
  };

  const lost = (problem: string, details: ErrorDetails = {}) => {
    if (ended) return;
    const now = performance.now();
    if (details.retryAfter) returnAt = now + details.retryAfter;
    const error = failure(problem, details);
    const loss = {
      error,
      answered: established || !!refusal || !!returnAt,
      retryAfter: Math.max(0, returnAt - now),
      jittered: draining,
    };
    end();
    // Unless the server is draining, it may be dead: no closing handshake is waited for then.
    if (draining) open?.close();
    else open?.abort();
    owner.lost(connection, loss);
  };

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
        if (connection.subscribesByFrame()) connection.request('authenticate', { token }, () => {}, onError);
        connection.repeatRequest();
      } catch (error) {
        onError(error);
      }
      scheduleTokenRenewal(clockSkew);
    });
  };

  /** Takes silence for `limit` milliseconds for the end, whatever the network says. */
  const watchSilence = (limit: number) => {
    const silence = performance.now() - lastFrameAt;
    if (silence >= limit) lost(`silent for ${limit} ms`);
    else after(limit - silence, () => watchSilence(limit));
  };

  /** Whoever slept can't trust the connection, and monotonic clocks may have slept too. */
  const watchSleep = (since: number) =>
    after(SLEEP_CHECK, () => {
      const now = Date.now();
      if (now - since > 2 * SLEEP_CHECK) connection.check();
      watchSleep(now);
    });

  const handle = (frame: ServerFrame) => {
    const { event, id, data } = frame;
    // An answer to nothing is one that came after its timeout.
    const [ack, fail] = pending.get(id) ?? [];
    pending.delete(id);
    if (event === 'connected') return handleConnected(data as Connected);
    if (event === 'ack') return ack?.(data);
    const isError = event === 'error';
    if (isError || event === 'drain') {
      const error = serverError(data);
      const { retryAfter = 0 } = error;
      if (isError && id) return fail?.(error);
      if (isError && !established) refusal = error;
      if (retryAfter) returnAt = performance.now() + retryAfter;
      if (!isError) {
        draining = retryAfter > 0; // a server that is always leaving, at once, gets no more tries than others
        after(retryAfter, () => lost('is leaving'));
      }
    }
    owner.received(frame);
  };

  const handleConnected = (connected: Connected) => {
    if (!connected?.rooms?.every?.((position) => position?.room))
      return lost('no rooms in "connected": another version?');
    if (established) return owner.joined(connection, connected);
    established = true;
    const { frameBytes = Infinity, frames = DEFAULT_RATE } = (connected.limits ?? {}) as Partial<Limits>;
    maxFrameBytes = frameBytes;
    takeToken = makeBucket(frames);
    buffered = [];
    after(0, () => {
      const frames = buffered as ServerFrame[];
      buffered = undefined;
      for (const frame of frames) if (!ended) handle(frame);
    });
    watchSilence(2 * (connected.heartbeat > 0 ? connected.heartbeat : DEFAULT_HEARTBEAT));
    watchSleep(Date.now());
    scheduleTokenRenewal(connected.serverTime - Date.now() || 0);
    owner.established(connection, connected);
  };

  /** Bounds the time until something is there. */
  const expect = (isThere: () => unknown, what: string) =>
    after(connectTimeout, () => isThere() || lost(`no ${what} within ${connectTimeout} ms`));
  const expectConnected = () => expect(() => established, '"connected" frame');
  if (typeof givenToken === 'function') expect(() => token, 'token from the token function');
  else expectConnected();

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
          expectConnected();
        }
        return token;
      },
      received(input) {
        if (ended) return;
        lastFrameAt = performance.now();
        try {
          const frame = decodeFrame(input, parse);
          if (buffered) buffered.push(frame);
          else handle(frame);
        } catch (error) {
          onError(error);
        }
      },
      lost,
      refused(problem, details) {
        const goesOn = established && details.closeCode && memberships.queryRefused(failure(problem, details));
        if (!goesOn) lost(problem, details);
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
