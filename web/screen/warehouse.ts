import type { Past } from './history.js';
import type { Source } from './layout.js';
import { byImportance, type OpenAlert, type Scope, Zone } from './zone.js';

/** How many events of a room are kept for tiles; those that came first go first. */
const MAX_EVENTS = 32;

/**
 * What is known of a warehouse: each of its zones, and what its own room has.
 *
 *     apply(event, zone) ─▶ Zone ─▶ figures, alerts
 *                       └─▶ the latest data of each event, for tiles
 */
export class Warehouse {
  readonly zones = new Map<string, Zone>();
  /** What became of the shift's alerts, the latest first. */
  history: Past[] = [];
  /** The alerts of the whole building. */
  readonly #building = new Zone();
  /** By room ('' for the warehouse's) and event. */
  readonly #latest = new Map<string, Map<string, unknown>>();

  /** The zone, made if need be. */
  zone(name: string): Zone {
    let zone = this.zones.get(name);
    if (!zone) this.zones.set(name, (zone = new Zone()));
    return zone;
  }

  /** Takes an event in, of a zone or of the room of the warehouse; `time` is when the server accepted it. */
  apply(event: string, zone: string | undefined, data: unknown, time: number): void {
    if (zone === undefined) this.#building.apply(event, 'warehouse', data, time);
    else this.zone(zone).apply(event, 'zone', data, time);
    const room = zone ?? '';
    const latest = this.#latest.get(room) ?? new Map<string, unknown>();
    this.#latest.set(room, latest);
    // A snapshot is the whole, and an update what changed since.
    const before = event === 'ZONE_UPDATE' ? (latest.get(event) ?? latest.get('SHIFT_SNAPSHOT')) : undefined;
    latest.set(event, isRecord(before) && isRecord(data) ? { ...before, ...data } : data);
    if (event === 'SHIFT_SNAPSHOT') latest.delete('ZONE_UPDATE');
    const [oldest] = latest.keys();
    if (latest.size > MAX_EVENTS && oldest !== undefined) latest.delete(oldest);
  }

  gap(zone: string | undefined): void {
    if (zone === undefined) this.#building.gap('warehouse');
    else this.zone(zone).gap('zone');
  }

  forget(zone: string): void {
    this.zones.delete(zone);
    this.#latest.delete(zone);
  }

  /** What a tile shows; undefined for what nobody published. */
  value({ zone = '', event, field }: Source): unknown {
    const latest = this.#latest.get(zone);
    const data = event === undefined ? (latest?.get('ZONE_UPDATE') ?? latest?.get('SHIFT_SNAPSHOT')) : latest?.get(event);
    return isRecord(data) && Object.hasOwn(data, field) ? data[field] : undefined;
  }

  /** All that are open, the most important first. */
  get alerts(): OpenAlert[] {
    const ofZones = [...this.zones].flatMap(([zone, { alerts, plan }]) => alerts.map((alert) => ({ ...alert, zone, where: plan.name ?? zone })));
    return [...ofZones, ...this.#building.alerts].sort(byImportance);
  }

  /** When the shift began that is the longest under way; undefined when nobody says. */
  get shiftBegan(): number | undefined {
    const starts = [...this.zones.values()].map(({ plan }) => plan.startsAt).filter((at) => at !== undefined);
    return starts.length > 0 ? Math.min(...starts) : undefined;
  }

  get doubtful(): ReadonlySet<Scope> {
    return new Set([this.#building, ...this.zones.values()].flatMap(({ doubtful }) => [...doubtful]));
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
