import { backoff } from './backoff.js';
import { terminalName } from './close.js';
import { type ErrorDetails, serverError, ZonecastError } from './errors.js';
import type { Connected } from './events.js';
import { decodeFrame, encodeFrame, type ServerFrame } from './frame.js';
import type { Memberships } from './memberships.js';
import type { Settings } from './options.js';
import { later, type Timer } from './timer.js';
import { expiryOf } from './token.js';
import type { Link, Transport } from './transport.js';

/** One connection over one transport, from dialling to its end; never used again after that. */
export interface Connection {
  readonly via: Transport;
  /** Whether rooms are joined and left by frames, and not by asking again. */
  byFrames(): boolean;
  /** Asks again with the rooms of now, where that is how to join and leave them. */
  renew(): void;
  /**
   * Sends a request. One of the two is called while the frame of the answer is being read, so that it comes before the frames
   * that follow; a promise would come after them. Neither is called when the connection ends.
   */
  request(event: string, data: unknown, ack: (data: unknown) => void, fail: (error: ZonecastError) => void): void;
  /** Runs something later, unless the connection ends before. */
  after(ms: number, run: () => void): void;
  /** Runs something later if it may help against the error, on this connection; returns false for an error that stays. */
  retry(error: ZonecastError, run: () => void): boolean;
  /** Ends the connection without a word. */
  hangUp(hard?: boolean): void;
}

/** What a connection tells its owner. After `lost` or hangUp() it says nothing more. */
export interface Owner {
  /** The server has joined us to these rooms; the first time this says that the connection stands. */
  joined(connection: Connection, connected: Connected, first: boolean): void;
  /** Any frame but `connected` and the answers to requests. */
  received(frame: ServerFrame): void;
  /**
   * It is over. `heard`: something came over this transport. `terminal`: the server said not to come back. `retryAfter`: the
   * milliseconds until we may come back, if the server named them, else 0; `spread`: it has spread them over its clients.
   */
  lost(
    connection: Connection,
    error: ZonecastError,
    heard: boolean,
    terminal: boolean,
    retryAfter: number,
    spread: boolean,
  ): void;
}

/** When the server does not say how often its heartbeat comes. */
const DEFAULT_HEARTBEAT = 30_000;

/** A token is renewed when this share of its time is over. */
const RENEW_AT = 0.8;

/**
 * Dials.
 *
 *     transport ─▶ `connected` frame ─▶ frames, requests, heartbeat watchdog, token ─▶ lost | hangUp()
 *
 * The connection owns all its timers, so its end is the end of them.
 */
export function connect(settings: Settings, via: Transport, memberships: Memberships, owner: Owner): Connection {
  const { base, userId, Socket, token: givenToken, connectTimeout, onError, backoffBase, backoffCap } = settings;
  const answers = new Map<unknown, [ack: (data: unknown) => void, fail: (error: ZonecastError) => void]>();
  const timers = new Set<Timer>();
  let link: Link | undefined;
  let token: string | undefined;
  let established = false;
  let ended = false;
  /** What the server said was wrong, before `connected`. */
  let complaint: ZonecastError | undefined;
  /** What came in the same moment as `connected`: whoever awaited connect() gets the chance to listen first. */
  let held: ServerFrame[] | undefined;
  let heardAt = 0;
  let lastId = 0;
  /** On the clock of performance.now(): when the server wants us back, if it said so. */
  let returnAt = 0;
  let draining = false;

  const connection: Connection = {
    via,
    byFrames: () => !link?.renew,
    renew: () => link?.renew?.(),
    request(event, data, ack, fail) {
      if (!established) return;
      try {
        const text = encodeFrame(event, data, ++lastId);
        answers.set(lastId, [ack, fail]);
        link?.write(text, lastId);
      } catch (error) {
        fail(error instanceof ZonecastError ? error : failure('not written to', { cause: error }));
      }
    },
    after(ms, run) {
      if (ended) return;
      const timer = later(ms, () => {
        timers.delete(timer);
        run();
      });
      timers.add(timer);
    },
    retry({ code, retryAfter = 0 }, run) {
      const passing = retryAfter > 0 || /^(unavailable|rate_limited|internal|connection_lost)$/.test(code);
      if (passing) connection.after(retryAfter + backoff(1, backoffBase, backoffCap), run);
      return passing;
    },
    hangUp(hard = false) {
      ended = true;
      for (const timer of timers) clearTimeout(timer);
      link?.hangUp(hard);
    },
  };
  const { after } = connection;

  const failure = (problem: string, { closeCode, cause = complaint, retryAfter }: ErrorDetails = {}) =>
    new ZonecastError(
      terminalName(closeCode) ?? (established ? 'connection_lost' : 'connect_failed'),
      `${base.host} by ${via.name}: ${problem}`,
      { cause, closeCode, retryAfter },
    );

  const lost = (problem: string, details: ErrorDetails = {}) => {
    if (ended) return;
    const error = failure(problem, details);
    const now = performance.now();
    if (details.retryAfter) returnAt = now + details.retryAfter;
    // Unless the server is draining, the other side may be dead: nothing waits for its goodbye then.
    connection.hangUp(!draining);
    owner.lost(
      connection,
      error,
      established || !!complaint || !!returnAt,
      !!terminalName(details.closeCode),
      Math.max(0, returnAt - now),
      draining,
    );
  };

  const askToken = async () => {
    token = typeof givenToken === 'function' ? await givenToken() : givenToken;
    if (ended || (givenToken && !token)) throw Error('the token function returned none');
    return token;
  };

  /** Renews a token before it expires, by the clock of the server, which is `ahead` of ours. */
  const renewLater = (ahead: number) => {
    const expiry = typeof givenToken === 'function' && expiryOf(token);
    if (!expiry) return;
    after(Math.max(1000, RENEW_AT * (expiry - Date.now() - ahead)), async () => {
      try {
        await askToken();
        if (connection.byFrames()) connection.request('authenticate', { token }, () => {}, onError);
        connection.renew();
      } catch (error) {
        onError(error);
      }
      renewLater(ahead);
    });
  };

  /** A connection without a sign of life for two heartbeats is dead, whatever the network says. */
  const watch = (limit: number) => {
    const silence = performance.now() - heardAt;
    if (silence >= limit) lost(`silent for ${limit} ms`);
    else after(limit - silence, () => watch(limit));
  };

  const take = (frame: ServerFrame) => {
    const { event, id, data } = frame;
    // An answer to nothing is one that came after its timeout.
    const [ack, fail] = answers.get(id) ?? [];
    answers.delete(id);
    if (event === 'connected') return join(data as Connected);
    if (event === 'ack') return ack?.(data);
    const error = serverError(data);
    const { retryAfter = 0 } = error;
    if (event === 'error') {
      if (id) return fail?.(error);
      if (!established) complaint = error;
      if (retryAfter) returnAt = performance.now() + retryAfter;
    } else if (event === 'drain') {
      draining = retryAfter > 0; // a server that is always leaving, at once, gets no more tries than others
      returnAt = performance.now() + retryAfter;
      after(retryAfter, () => lost('is leaving'));
    }
    owner.received(frame);
  };

  const join = (connected: Connected) => {
    const first = !established;
    if (!connected?.rooms?.every?.((position) => position?.room)) return lost('no rooms in "connected": is it another version?');
    if (first) {
      established = true;
      held = [];
      after(0, () => {
        const frames = held as ServerFrame[];
        held = undefined;
        for (const frame of frames) if (!ended) take(frame);
      });
      watch(2 * (connected.heartbeat > 0 ? connected.heartbeat : DEFAULT_HEARTBEAT));
      renewLater(connected.serverTime - Date.now() || 0);
    }
    owner.joined(connection, connected, first);
  };

  after(connectTimeout, () => established || lost(`no "connected" frame within ${connectTimeout} ms`));
  via
    .dial({
      Socket,
      address(path, extra) {
        const url = new URL(base);
        url.pathname = url.pathname.replace(/\/?$/, path);
        const user = `${new URLSearchParams(userId ? { userId } : {})}`;
        url.search = [url.search, ...memberships.query(path === '/ws'), user, extra].filter(Boolean).join('&');
        return url.href;
      },
      credential: async () => token ?? askToken(),
      frame(input) {
        if (ended) return;
        heardAt = performance.now();
        try {
          const frame = decodeFrame(input);
          if (held) held.push(frame);
          else take(frame);
        } catch (error) {
          onError(error);
        }
      },
      lost,
      refused(problem, details) {
        if (!established || !details.closeCode || !memberships.refused(failure(problem, details))) lost(problem, details);
      },
      pause: (ms) => new Promise((resolve) => after(ms, resolve)),
    })
    .then(
      (opened) => {
        link = opened;
        if (ended) link.hangUp(true);
      },
      (cause) => lost(`not dialled: ${cause}`, { cause }),
    );
  return connection;
}
