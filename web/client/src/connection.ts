import { closeName, reconnectsAfter } from './close.js';
import { type ErrorCode, serverError, ZonecastError } from './errors.js';
import type { Connected } from './events.js';
import { decodeFrame, encodeFrame, type ServerFrame } from './frame.js';
import type { WebSocketConstructor, WebSocketLike } from './options.js';
import { later, type Timer } from './timer.js';

export interface Dial {
  WebSocket: WebSocketConstructor;
  /** Where to connect to; asked once, since a token may have to be fetched first. */
  address: () => Promise<Address>;
  /** Milliseconds until the first frame must be there. */
  timeout: number;
}

export interface Address {
  url: URL;
  /** The subprotocols to offer, if any. */
  protocols?: string[];
}

/** Why a connection is no more. */
export interface Loss {
  error: ZonecastError;
  /** The server said not to come back. */
  terminal: boolean;
  /** The server named this many milliseconds until we may come back. */
  retryAfter: number | undefined;
  /** The server has already spread these times over its clients. */
  spread: boolean;
}

/** What a connection tells the client. After `lost` or close() it says nothing more. */
export interface Owner {
  connected(data: Connected): void;
  /** Any frame but `connected` and the answers to requests. */
  received(frame: ServerFrame): void;
  malformed(error: ZonecastError): void;
  lost(loss: Loss): void;
}

/**
 * Who waits for the answer to a request. It is called while the answer's frame is being read, so that it comes before the
 * frames that follow; a promise would come after them.
 */
export interface Answer {
  ack(data: unknown): void;
  fail(error: ZonecastError): void;
}

/** When the server does not say how often its heartbeat comes. */
const DEFAULT_HEARTBEAT = 30_000;

/**
 * One WebSocket, from dialling to its end; never used again after that.
 *
 *     dial ─▶ address ─▶ open ─▶ `connected` frame ─▶ frames, requests, heartbeat watchdog ─▶ lost | close()
 *
 * It owns all its timers, so the end of the connection is the end of them.
 */
export class Connection {
  readonly #dial: Dial;
  readonly #owner: Owner;
  #socket: WebSocketLike | undefined;
  /** What the socket, or the server before `connected`, said was wrong. */
  #cause: unknown;
  #where = 'the server';
  #established = false;
  #ended = false;
  #heardAt = 0;
  #lastId = 0;
  readonly #answers = new Map<number, Answer>();
  readonly #timers = new Set<Timer>();
  /** On the clock of performance.now(): when the server wants us back, if it said so. */
  #returnAt: number | undefined;
  #draining = false;

  constructor(dial: Dial, owner: Owner) {
    this.#dial = dial;
    this.#owner = owner;
    this.after(dial.timeout, () => {
      if (!this.#established) this.#lose(this.#failure(`sent no "connected" frame within ${dial.timeout} ms`));
    });
    void this.#open();
  }

  /** Sends a request whose answer is awaited, for `timeout` milliseconds if given. */
  request(event: string, data: unknown, answer: Answer, timeout?: number): void {
    const id = ++this.#lastId;
    let cancel = () => {};
    const settled = () => {
      cancel();
      this.#answers.delete(id);
    };
    const entry: Answer = {
      ack(ack) {
        settled();
        answer.ack(ack);
      },
      fail(error) {
        settled();
        answer.fail(error);
      },
    };
    this.#answers.set(id, entry);
    if (timeout !== undefined)
      cancel = this.after(timeout, () =>
        entry.fail(new ZonecastError('timeout', `the server did not answer ${event} within ${timeout} ms`)),
      );
    try {
      this.#socket?.send(encodeFrame(event, data, id));
    } catch (error) {
      entry.fail(error instanceof ZonecastError ? error : this.#failure('could not be written to', error));
    }
  }

  /** Runs something later, unless the connection ends before. Returns what cancels it. */
  after(ms: number, run: () => void): () => void {
    const timer = later(ms, () => {
      this.#timers.delete(timer);
      run();
    });
    this.#timers.add(timer);
    return () => {
      clearTimeout(timer);
      this.#timers.delete(timer);
    };
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Ends the connection without a word to the owner. Requests fail with `error`. */
  close(error: ZonecastError): void {
    this.#end(error, (socket) => socket.close(1000));
  }

  #end(error: ZonecastError, hangUp: (socket: WebSocketLike) => void): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    const socket = this.#socket;
    if (socket) {
      // The package ws throws an error event that has no listener: it keeps one.
      socket.onmessage = socket.onclose = null;
      socket.onerror = () => {};
      hangUp(socket);
    }
    for (const answer of [...this.#answers.values()]) answer.fail(error);
  }

  async #open(): Promise<void> {
    try {
      const { url, protocols } = await this.#dial.address();
      if (this.#ended) return;
      this.#where = url.origin + url.pathname; // without the query, where a token may be
      const socket = new this.#dial.WebSocket(url.href, protocols);
      this.#socket = socket;
      socket.onmessage = (event: { data: unknown }) => this.#read(event.data);
      socket.onerror = (event: { error?: unknown; message?: unknown } | undefined) => {
        this.#cause = event?.error ?? event?.message;
      };
      socket.onclose = (event: { code: number; reason: string }) => this.#closed(event.code, event.reason);
    } catch (cause) {
      this.#lose(this.#failure(`could not be dialled: ${String(cause)}`, cause));
    }
  }

  #read(data: unknown): void {
    this.#heardAt = performance.now();
    let frame: ServerFrame;
    try {
      frame = decodeFrame(data);
    } catch (error) {
      this.#owner.malformed(error as ZonecastError);
      return;
    }
    const isError = frame.event === 'error';
    if (frame.event === 'ack' || (isError && frame.id !== undefined)) {
      // An answer to nothing is one that came after its timeout.
      const answer = this.#answers.get(frame.id as number);
      if (isError) answer?.fail(serverError(frame.data));
      else answer?.ack(frame.data);
    } else if (frame.event === 'connected') {
      this.#establish(frame.data as Connected);
    } else {
      if (isError || frame.event === 'drain') this.#noteReturn(frame);
      this.#owner.received(frame);
    }
  }

  #establish(data: Connected): void {
    if (this.#established) return;
    if (!data?.rooms?.every?.((position) => typeof position?.room === 'string')) {
      this.#lose(this.#failure('sent a "connected" frame without its rooms'));
      return;
    }
    this.#established = true;
    this.#watch(2 * (data?.heartbeat > 0 ? data.heartbeat : DEFAULT_HEARTBEAT));
    this.#owner.connected(data);
  }

  /** A connection without a sign of life for two heartbeats is dead, whatever the network says. */
  #watch(limit: number): void {
    const silence = performance.now() - this.#heardAt;
    if (silence >= limit) this.#lose(new ZonecastError('connection_lost', `${this.#where} was silent for ${limit} ms`));
    else this.after(limit - silence, () => this.#watch(limit));
  }

  #noteReturn({ event, data }: ServerFrame): void {
    const ms = serverError(data).retryAfter ?? 0;
    if (event === 'error') {
      if (!this.#established) this.#cause = serverError(data);
      if (!ms) return;
    } else {
      this.#draining = true;
      this.after(ms, () => this.#lose(new ZonecastError('connection_lost', `${this.#where} is leaving`)));
    }
    this.#returnAt = performance.now() + ms;
  }

  #closed(code: number, reason: string): void {
    const name = closeName(code);
    const text = [`closed the connection with code ${code}`, name, reason].filter(Boolean).join(', ');
    const terminal = !reconnectsAfter(code);
    const retryAfter = Number(/retryAfter\D*(\d+)/.exec(reason)?.[1]);
    if (retryAfter) this.#returnAt = performance.now() + retryAfter;
    this.#lose(this.#failure(text, this.#cause, code, terminal ? name : undefined), terminal);
  }

  #lose(error: ZonecastError, terminal = false): void {
    if (this.#ended) return;
    // Unless the server is draining, the other side may be dead: nothing waits for its goodbye then.
    const hard = !this.#draining;
    this.#end(error, (socket) => (hard && socket.terminate ? socket.terminate() : socket.close(1000)));
    const retryAfter = this.#returnAt && Math.max(0, this.#returnAt - performance.now());
    this.#owner.lost({ error, terminal, retryAfter, spread: this.#draining });
  }

  #failure(problem: string, cause?: unknown, closeCode?: number, code?: ErrorCode): ZonecastError {
    code ??= this.#established ? 'connection_lost' : 'connect_failed';
    return new ZonecastError(code, `${this.#where} ${problem}`, { cause, closeCode });
  }
}
