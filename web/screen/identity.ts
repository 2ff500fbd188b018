/** A screen, as the browser keeps it. */
export interface Identity {
  id: string;
  /** Empty for none. */
  name: string;
}

/** Keeps nothing, for browsers that may keep nothing: the screen is another one after each load. */
const forgetful = { getItem: () => null, setItem: () => {} };

/** Where the browser keeps what a screen is to know after a load. */
export function storage(): Pick<Storage, 'getItem' | 'setItem'> {
  try {
    return localStorage;
  } catch {
    return forgetful;
  }
}

/** Where the browser keeps the name that it was given last, and after it one ID for each name. */
const KEY = 'zonecast-screen';

/**
 * Who the screen is: by the name in its address, or else the last one that the browser was given. Several screens of one
 * browser need a name each.
 */
export function identity(given: string | undefined, store: Pick<Storage, 'getItem' | 'setItem'>): Identity {
  const name = given ?? store.getItem(KEY) ?? '';
  const kept = store.getItem(`${KEY}:${name}`);
  const id = kept ?? uuid();
  if (!kept) store.setItem(`${KEY}:${name}`, id);
  if (given !== undefined) store.setItem(KEY, given);
  return { id, name };
}

/** crypto.randomUUID is there over HTTPS alone. */
function uuid(): string {
  const hex = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** What a screen shows: a zone, or a warehouse by the wall of this name in its layout. */
export interface Place {
  warehouse: string;
  zone?: string;
  wall?: string;
}

/** The path of the page of another place; what else the address sets stays, and so does the token behind #. */
export function addressOf({ warehouse, zone, wall }: Place, { search, hash }: Pick<Location, 'search' | 'hash'>): string {
  const query = new URLSearchParams(search);
  query.delete('wall');
  if (wall) query.set('wall', wall);
  const path = [warehouse, zone].filter((name) => name !== undefined && name !== '').map((name) => encodeURIComponent(name ?? ''));
  return `/screen/${path.join('/')}${query.size > 0 ? `?${query}` : ''}${hash}`;
}
