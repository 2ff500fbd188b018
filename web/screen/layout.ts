/**
 * Reads the layout of a warehouse's walls, the data of a retained LAYOUT in the room of the warehouse:
 *
 *     {"walls": {"main": [{"seconds": 20, "tiles": [{"kind": "zone", "zone": "zone-a"}, …]}, …], "dock": […]}}
 *
 * A wall is a list of views, which take turns; a view has up to six tiles. What is no layout says where, as a path.
 */

/** Where the number or the list of a tile comes from: a field of the latest event of this name in a room. */
export interface Source {
  /** None for the room of the warehouse. */
  zone?: string;
  /** ZONE_UPDATE and SHIFT_SNAPSHOT, unless it says another one. */
  event?: string;
  field: string;
}

export type Tile =
  | { kind: 'zones' }
  | { kind: 'history' }
  | { kind: 'zone'; zone: string }
  | ({ kind: 'number'; title: string; unit: string; least?: number; most?: number } & Source)
  | ({ kind: 'list'; title: string } & Source);

/** What is shown at one time. */
export interface Sight {
  seconds: number;
  tiles: Tile[];
}

/** What a wall shows when nobody says otherwise: all zones, and what became of the shift's alerts. */
export const DEFAULT: readonly Sight[] = [{ seconds: 20, tiles: [{ kind: 'zones' }] }, { seconds: 10, tiles: [{ kind: 'history' }] }];

const MAX_TILES = 6;
const MAX_VIEWS = 20;
const MAX_WALLS = 100;
const MAX_TEXT = 64;

class Mistake extends Error {
  constructor(path: string, want: string) {
    super(`${path}: ${want}`);
  }
}

/** The views of a wall, or what is wrong with the layout. */
export function readLayout(data: unknown, wall: string): { views: readonly Sight[] } | { mistake: string } {
  try {
    const { walls, ...others } = object(data, 'layout');
    nothingElse(others, '');
    const all = Object.entries(object(walls, 'walls'));
    if (all.length > MAX_WALLS) throw new Mistake('walls', `there are ${all.length}, the most is ${MAX_WALLS}`);
    const read = new Map(all.map(([name, views]) => [name, list(views, `walls.${name}`, MAX_VIEWS).map((view, i) => sight(view, `walls.${name}[${i}]`))]));
    const views = read.get(wall);
    if (!views) throw new Mistake('walls', `there is no ${quoted(wall)}, there is ${[...read.keys()].map(quoted).join(', ') || 'none'}`);
    return { views };
  } catch (error) {
    if (error instanceof Mistake) return { mistake: error.message };
    throw error;
  }
}

function sight(value: unknown, path: string): Sight {
  const { seconds = 20, tiles, ...others } = object(value, path);
  nothingElse(others, path);
  if (typeof seconds !== 'number' || !(seconds >= 5 && seconds <= 3600)) throw new Mistake(`${path}.seconds`, 'write a number from 5 to 3600');
  return { seconds, tiles: list(tiles, `${path}.tiles`, MAX_TILES).map((tile, i) => readTile(tile, `${path}.tiles[${i}]`)) };
}

function readTile(value: unknown, path: string): Tile {
  const { kind, ...fields } = object(value, path);
  switch (kind) {
    case 'zones':
    case 'history':
      nothingElse(fields, path);
      return { kind };
    case 'zone': {
      const { zone, ...others } = fields;
      nothingElse(others, path);
      return { kind, zone: name(zone, `${path}.zone`) };
    }
    case 'number': {
      const { title, unit = '', least, most, zone, event, field, ...others } = fields;
      nothingElse(others, path);
      return {
        kind,
        ...source({ zone, event, field }, path),
        title: text(title, `${path}.title`),
        unit: unit === '' ? '' : text(unit, `${path}.unit`),
        ...(least !== undefined && { least: number(least, `${path}.least`) }),
        ...(most !== undefined && { most: number(most, `${path}.most`) }),
      };
    }
    case 'list': {
      const { title, zone, event, field, ...others } = fields;
      nothingElse(others, path);
      return { kind, ...source({ zone, event, field }, path), title: text(title, `${path}.title`) };
    }
  }
  throw new Mistake(`${path}.kind`, 'write "zones", "zone", "number", "list" or "history"');
}

function source({ zone, event, field }: Record<'zone' | 'event' | 'field', unknown>, path: string): Source {
  return {
    field: text(field, `${path}.field`),
    ...(zone !== undefined && { zone: name(zone, `${path}.zone`) }),
    ...(event !== undefined && { event: text(event, `${path}.event`) }),
  };
}

function object(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Mistake(path, 'write an object, {…}');
  return value as Record<string, unknown>;
}

function list(value: unknown, path: string, most: number): unknown[] {
  if (!Array.isArray(value) || value.length === 0) throw new Mistake(path, 'write a list with at least one element, […]');
  if (value.length > most) throw new Mistake(path, `there are ${value.length}, the most is ${most}`);
  return value;
}

function nothingElse(others: Record<string, unknown>, path: string): void {
  const [other] = Object.keys(others);
  if (other !== undefined) throw new Mistake(path ? `${path}.${other.slice(0, MAX_TEXT)}` : other.slice(0, MAX_TEXT), 'there is no such field');
}

function text(value: unknown, path: string): string {
  if (typeof value !== 'string' || value.trim() === '' || value.length > MAX_TEXT) throw new Mistake(path, `write a text of 1 to ${MAX_TEXT} characters`);
  return value.trim();
}

function name(value: unknown, path: string): string {
  if (typeof value !== 'string' || !/^[A-Za-z0-9._-]{1,64}$/.test(value)) throw new Mistake(path, 'write the name of a zone');
  return value;
}

function number(value: unknown, path: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new Mistake(path, 'write a number');
  return value;
}

function quoted(words: string): string {
  return `"${words.slice(0, MAX_TEXT)}"`;
}

/** The view that is shown at this time. Displays that show the same wall show the same view. */
export function viewAt(views: readonly Sight[], now: number): number {
  const round = views.reduce((sum, { seconds }) => sum + seconds, 0) * 1000;
  let left = now % round;
  return Math.max(0, views.findIndex(({ seconds }) => (left -= seconds * 1000) < 0));
}

/** The zones that a layout needs, and whether it needs all that there are. */
export function zonesIn(views: readonly Sight[]): { names: string[]; all: boolean } {
  const tiles = views.flatMap((view) => view.tiles);
  const names = tiles.map((tile) => ('zone' in tile ? tile.zone : undefined)).filter((zone) => zone !== undefined);
  return { names: [...new Set(names)], all: tiles.some(({ kind }) => kind === 'zones') };
}
