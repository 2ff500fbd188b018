import { base } from '../base/base.js';
import { createWebSocketClient, type ZonecastClient } from '../client/src/index.js';
import type { ScreenToken } from './paired.js';
import { type Refusal, refusal } from './refusal.js';
import type { Facts } from './status.js';
import type { Words } from './words.js';

/** How long after a refusal (a token that ran out, say) the screen asks again. In milliseconds. */
const ASK_AGAIN = 60_000;

export interface LinkOptions {
  warehouse: string;
  /** None for the screen of a warehouse, which subscribes to zones later. */
  zone?: string;
  token: ScreenToken;
  say: Words;
  /** An event, of a zone or of the room of the warehouse; `time` is when the server accepted it. */
  onEvent(event: string, zone: string | undefined, data: unknown, time: number): void;
  onGap(zone: string | undefined): void;
  onRefusal(why: Refusal): void;
  /** The screen has no token that is accepted, and may get one. */
  onUnpaired(): void;
  /** After each of these, and when the connection changes. */
  onChange(): void;
}

/** The connection of a screen, which never gives up, and what is known of it. */
export class Link {
  readonly client: ZonecastClient;
  /** What has to be added to this machine's clock to get the server's, in milliseconds. */
  #skew = 0;
  #wasConnected = false;
  /** Whether the instance says that its broker is away: what is published does not reach it. */
  #brokerAway = false;
  /** Stands until the server is heard to have changed its mind, or is away. */
  #refused = false;

  constructor({ warehouse, zone, token, say, onEvent, onGap, onRefusal, onUnpaired, onChange }: LinkOptions) {
    const zoneOf = (room: string) => (room.startsWith('zone:') ? room.slice(`zone:${warehouse}:`.length) : undefined);
    this.client = createWebSocketClient({
      url: location.origin + base,
      warehouse,
      ...(zone ? { zone } : {}),
      ...(token.isPaired ? { token: () => token.fresh() } : token.text ? { token: token.text } : {}),
      autoReconnect: true,
      backoffCap: 10_000,
      onError: (error) => console.warn('zonecast screen:', error),
    });
    this.client.on('connected', (connected) => {
      this.#noteBroker(connected);
      this.#skew = connected.serverTime - Date.now();
      this.#wasConnected = true;
      onChange();
    });
    this.client.on('heartbeat', (heartbeat) => {
      this.#noteBroker(heartbeat);
      onChange();
    });
    this.client.on('gap', ({ room }) => {
      onGap(zoneOf(room));
      onChange();
    });
    this.client.onAny((data, { event, room, time }) => {
      if (room === undefined) return;
      onEvent(event, zoneOf(room), data, time);
      onChange();
    });
    this.client.onState((state) => {
      if (state.name === 'failed') {
        this.#refused = true;
        if (state.error.code === 'unauthenticated' && token.isPairable) return onUnpaired();
        onRefusal(refusal(state.error, token.text !== undefined, say));
        setTimeout(() => this.connect(), ASK_AGAIN);
      } else if (state.name !== 'connecting') this.#refused = false;
      onChange();
    });
  }

  connect(): void {
    this.client.connect().catch(() => {}); // the state tells the same, also when a connection that was good is refused later
  }

  /** The time at the server. */
  get now(): number {
    return Date.now() + this.#skew;
  }

  get facts(): Pick<Facts, 'link' | 'wasConnected' | 'brokerAway'> {
    const link = this.#refused ? 'refused' : this.client.state.name === 'connected' ? 'connected' : 'connecting';
    return { link, wasConnected: this.#wasConnected, brokerAway: this.#brokerAway };
  }

  #noteBroker({ broker }: { broker?: string }): void {
    this.#brokerAway = broker === 'unavailable';
  }
}
