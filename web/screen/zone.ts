import { type Alert, type Figures, type Plan, readAlert, readSnapshot, readUpdate, type Severity } from './data.js';
import { Trend } from './trend.js';

/** Where an event was published: to the zone of this screen, or to the whole building. */
export type Scope = 'zone' | 'warehouse';

/** How many open alerts are kept of each scope; the least important go first. */
const MAX_OPEN = 50;

const RANK: Record<Severity, number> = { critical: 0, warning: 1, info: 2 };

/**
 * What is known of a zone: the last SHIFT_SNAPSHOT, brought forward by the ZONE_UPDATEs and ALERTs after it.
 *
 *     apply(event) ─▶ plan, figures, trend, alerts ─▶ view
 *     gap() ────────▶ outdated, until the next SHIFT_SNAPSHOT
 */
export class Zone {
  plan: Plan = {};
  figures: Figures = {};
  readonly trend = new Trend();
  /** When the server accepted the last event that told something of the zone itself, by the server's clock. */
  updatedAt: number | undefined;
  /** Whether messages are missing since the last snapshot. */
  outdated = false;
  readonly #open: Record<Scope, Map<string, Alert>> = { zone: new Map(), warehouse: new Map() };

  /** Takes an event in; `time` is when the server accepted it. */
  apply(event: string, scope: Scope, data: unknown, time: number): void {
    if (event === 'ALERT') this.#alert(scope, data);
    else if (event === 'SHIFT_SNAPSHOT') this.#snapshot(scope, data, time);
    else if (event === 'ZONE_UPDATE' && scope === 'zone') this.#update(data, time);
  }

  gap(scope: Scope): void {
    if (scope === 'zone') this.outdated = true;
  }

  /** The open alerts, the most important first; of two alike, the newer. */
  get alerts(): Alert[] {
    return [...this.#open.zone.values(), ...this.#open.warehouse.values()].sort(byImportance);
  }

  #snapshot(scope: Scope, data: unknown, time: number): void {
    const snapshot = readSnapshot(data);
    if (!snapshot) return;
    if (snapshot.alerts) {
      this.#open[scope].clear();
      for (const alert of snapshot.alerts) this.#note(scope, alert);
    }
    if (scope === 'warehouse') return; // its figures are those of the building
    this.plan = snapshot.plan;
    this.outdated = false;
    this.#take(snapshot.figures, time);
  }

  #update(data: unknown, time: number): void {
    const figures = readUpdate(data);
    if (figures) this.#take({ ...this.figures, ...figures }, time);
  }

  #take(figures: Figures, time: number): void {
    this.figures = figures;
    this.updatedAt = time;
    if (figures.pickRate !== undefined) this.trend.add(figures.now ?? time, figures.pickRate);
  }

  #alert(scope: Scope, data: unknown): void {
    const alert = readAlert(data);
    if (alert) this.#note(scope, alert);
  }

  #note(scope: Scope, alert: Alert): void {
    const open = this.#open[scope];
    if (alert.cleared) {
      open.delete(alert.id);
      return;
    }
    open.set(alert.id, alert);
    if (open.size <= MAX_OPEN) return;
    const least = [...open.values()].sort(byImportance).at(-1);
    if (least) open.delete(least.id);
  }
}

function byImportance(a: Alert, b: Alert): number {
  return RANK[a.severity] - RANK[b.severity] || (b.raisedAt ?? 0) - (a.raisedAt ?? 0) || (a.id < b.id ? -1 : 1);
}
