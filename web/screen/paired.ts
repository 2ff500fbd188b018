/**
 * The token of a screen: the one in its address, or the one that it was given when an operator paired it, which the
 * browser keeps and the screen renews.
 *
 *     /screen/pair ─ keep ─▶ localStorage ─▶ ScreenToken ─ each hour: is it time? ─▶ POST …/pairings/renew ─▶ localStorage
 */
import { base } from '../base/base.js';
import { ZonecastError } from '../client/src/errors.js';
import { type Place, storage } from './identity.js';
import { tokenOf } from './token.js';

/** Where the browser keeps it, one for each server and each `?name=` of a browser with several screens. */
const KEY = 'zonecast-screen-token';
/** How often it is looked whether the token is to be renewed, in milliseconds. */
const LOOK = 3_600_000;

/** After how long it is renewed at most: when that is further ahead, the clock was put back. In milliseconds. */
const LONGEST = 86_400_000;

/** What the browser keeps. */
export interface Kept {
  token: string;
  /** When the token is to be renewed, by this machine's clock, in ms since 1970. */
  renewAt: number;
  /** What the screen was paired for. */
  place: Place;
}

/** The token that the browser keeps for a screen. */
export class Keeper {
  readonly #key: string;

  constructor(
    name: string | undefined,
    private readonly store: Pick<Storage, 'getItem' | 'setItem'>,
  ) {
    this.#key = `${KEY}:${base}:${name ?? ''}`;
  }

  get kept(): Kept | undefined {
    try {
      const found = JSON.parse(this.store.getItem(this.#key) ?? 'null') as Partial<Kept> | null;
      if (typeof found?.token === 'string' && typeof found.renewAt === 'number' && typeof found.place?.warehouse === 'string') return found as Kept;
    } catch {} // broken: as if there were none
    return undefined;
  }

  /** `renewAfter` is in milliseconds. */
  keep(token: string, renewAfter: number, place: Place): void {
    this.store.setItem(this.#key, JSON.stringify({ token, renewAt: Date.now() + renewAfter, place } satisfies Kept));
  }

  /**
   * Gets a token that is valid for longer, and keeps it. Fails with a ZonecastError: of the code `unauthenticated` when the
   * one that is kept is no longer accepted.
   */
  async renew(): Promise<Kept> {
    const old = this.kept;
    if (!old) throw new ZonecastError('unauthenticated', 'the screen is not paired');
    const headers = { Authorization: `Bearer ${old.token}` };
    const answer = await fetch(`${base}/api/v1/pairings/renew`, { method: 'POST', cache: 'no-store', headers });
    const said = (await answer.json()) as { token: string; renewAfter: number; detail?: string };
    if (!answer.ok) throw new ZonecastError(answer.status === 401 ? 'unauthenticated' : 'connect_failed', said.detail ?? `${answer.status}`);
    this.keep(said.token, said.renewAfter, old.place);
    return this.kept ?? old;
  }

  get isDue(): boolean {
    const { kept } = this;
    const wait = kept ? kept.renewAt - Date.now() : LONGEST;
    return wait <= 0 || wait > LONGEST;
  }
}

/** The token of a screen, wherever that has it from. */
export class ScreenToken {
  readonly #given: string | undefined = tokenOf(location);
  readonly #keeper: Keeper;

  constructor(name: string | undefined) {
    this.#keeper = new Keeper(name, storage());
    if (this.isPaired) setInterval(() => this.fresh().catch(() => {}), LOOK); // the connection is refused, or it is tried again
  }

  /** The token of now; undefined for none. */
  get text(): string | undefined {
    return this.#given ?? this.#keeper.kept?.token;
  }

  /** Whether the screen has it from being paired. */
  get isPaired(): boolean {
    return this.#given === undefined && this.#keeper.kept !== undefined;
  }

  /** Whether the server gives this screen a token when it has none that is accepted. */
  get isPairable(): boolean {
    return this.#given === undefined && document.documentElement.dataset.pairing !== undefined;
  }

  /** The token that the screen was given, renewed when it is time for that. */
  async fresh(): Promise<string> {
    const found = this.#keeper.kept;
    if (found && !this.#keeper.isDue) return found.token;
    return this.#keeper.renew().then(
      ({ token }) => token,
      (error: unknown) => {
        if (!found || (error instanceof ZonecastError && error.code === 'unauthenticated')) throw error;
        return found.token; // it may be valid for weeks
      },
    );
  }
}

/** Shows the page that asks an operator for a token, to come back to this place. */
export function askForToken({ warehouse, zone, wall }: Place): void {
  const query = new URLSearchParams(location.search);
  query.delete('wall');
  query.set('for', `${warehouse}${zone ? `/${zone}` : ''}${wall ? `?wall=${wall}` : ''}`);
  location.replace(`${base}/screen/pair?${query}`);
}
