import { type Acknowledgement, type Alert, type Figures, type Plan, readAcknowledgement, readAlert, readSnapshot, readUpdate, type Severity, type Update } from './data.js';
import { UsualInterval } from './usual-interval.js';
import { Trend } from './trend.js';

/** Where an event was published: to the zone of this screen, or to the whole building. */
export type Scope = 'zone' | 'warehouse';

/** An alert that is open, and who has seen to it. */
export type OpenAlert = Alert & {
  scope: Scope;
  /** Its zone, by its name and as people call it; of a screen that shows several. */
  zone?: string;
  where?: string;
  acknowledged?: Acknowledgement;
  /** Nobody has seen to it for too long, the server says. */
  escalated?: boolean;
};

/** How many open alerts are kept of each scope; the least important go first. */
const MAX_OPEN = 1000;

const RANK: Record<Severity, number> = { critical: 0, warning: 1, info: 2 };

/**
 * What is known of a zone: the last SHIFT_SNAPSHOT, brought forward by the ZONE_UPDATEs and ALERTs after it.
 *
 *     apply(event) ─▶ plan, figures, trend, alerts ─▶ view
 *     gap(scope) ───▶ doubt about that room, until its next SHIFT_SNAPSHOT
 */
export class Zone {
  plan: Plan = {};
  figures: Figures = {};
  readonly trend = new Trend();
  readonly usualInterval = new UsualInterval();
  /** When the server accepted the last event that told something of the zone itself, by the server's clock. */
  updatedAt: number | undefined;
  /** Whether updates of the figures are missing since the last snapshot. */
  outdated = false;
  /** The rooms that lack alerts, or the end of alerts, since their last snapshot. */
  readonly doubtful = new Set<Scope>();
  /** What has to be added to the server's clock to get the publisher's, in ms: 0 unless its events have a `now`. */
  #offset = 0;
  readonly #open: Record<Scope, Map<string, Alert>> = { zone: new Map(), warehouse: new Map() };
  /** May come before their alerts, which a publisher may have told of again since. */
  readonly #acknowledged: Record<Scope, Map<string, Acknowledgement>> = { zone: new Map(), warehouse: new Map() };
  readonly #escalated: Record<Scope, Map<string, Acknowledgement>> = { zone: new Map(), warehouse: new Map() };

  /** Takes an event in; `time` is when the server accepted it. */
  apply(event: string, scope: Scope, data: unknown, time: number): void {
    if (event === 'ALERT') this.#alert(scope, data);
    else if (event === 'ALERT_ACKNOWLEDGED') noteIn(this.#acknowledged[scope], data, time);
    else if (event === 'ALERT_ESCALATED') noteIn(this.#escalated[scope], data, time);
    else if (event === 'SHIFT_SNAPSHOT') this.#snapshot(scope, data, time);
    else if (event === 'ZONE_UPDATE' && scope === 'zone') this.#update(data, time);
  }

  gap(scope: Scope): void {
    this.doubtful.add(scope);
    if (scope === 'zone') this.outdated = true;
  }

  /** The time in the warehouse when it is this time at the server. */
  now(serverTime: number): number {
    return serverTime + this.#offset;
  }

  /** The open alerts, the most important first; of two alike, the one that nobody has seen to, or that is open for longer. */
  get alerts(): OpenAlert[] {
    return [...this.#of('zone'), ...this.#of('warehouse')].sort(byImportance);
  }

  #of(scope: Scope): OpenAlert[] {
    return [...this.#open[scope].values()].map((alert) => {
      const acknowledged = this.#acknowledged[scope].get(alert.id);
      return { ...alert, scope, ...(acknowledged && { acknowledged }), ...(!acknowledged && this.#escalated[scope].has(alert.id) && { escalated: true }) };
    });
  }

  #snapshot(scope: Scope, data: unknown, time: number): void {
    const snapshot = readSnapshot(data);
    if (!snapshot) return;
    if (snapshot.alerts) {
      this.#open[scope].clear();
      for (const alert of snapshot.alerts) this.#note(scope, alert);
      for (const noted of [this.#acknowledged[scope], this.#escalated[scope]])
        for (const id of noted.keys()) if (!this.#open[scope].has(id)) noted.delete(id);
      this.doubtful.delete(scope);
    }
    if (scope === 'warehouse') return; // its figures are those of the building
    this.plan = snapshot.plan;
    this.outdated = false;
    this.figures = {};
    this.#offset = 0;
    this.#take(snapshot, time);
  }

  #update(data: unknown, time: number): void {
    const update = readUpdate(data);
    if (update) this.#take(update, time);
  }

  #take({ figures, now }: Update, time: number): void {
    this.figures = { ...this.figures, ...figures };
    this.updatedAt = time;
    this.usualInterval.note(time);
    if (now !== undefined) this.#offset = now - time;
    if (figures.pickRate !== undefined) this.trend.add(this.now(time), figures.pickRate);
  }

  #alert(scope: Scope, data: unknown): void {
    const alert = readAlert(data);
    if (alert) this.#note(scope, alert);
  }

  #note(scope: Scope, alert: Alert): void {
    const open = this.#open[scope];
    if (alert.cleared) {
      open.delete(alert.id);
      this.#acknowledged[scope].delete(alert.id);
      this.#escalated[scope].delete(alert.id);
      return;
    }
    open.set(alert.id, alert);
    if (open.size <= MAX_OPEN) return;
    const least = [...open.values()].sort(byImportance).at(-1);
    if (least) open.delete(least.id);
  }
}

/** Keeps what was told of an alert, by its id. */
function noteIn(known: Map<string, Acknowledgement>, data: unknown, time: number): void {
  const told = readAcknowledgement(data);
  if (told && (known.size < MAX_OPEN || known.has(told.id))) known.set(told.id, { at: time, ...told });
}

export function byImportance(a: Partial<OpenAlert> & Alert, b: Partial<OpenAlert> & Alert): number {
  return (
    RANK[a.severity] - RANK[b.severity] ||
    b.priority - a.priority ||
    Number(b.escalated ?? false) - Number(a.escalated ?? false) ||
    Number(a.acknowledged !== undefined) - Number(b.acknowledged !== undefined) ||
    (a.raisedAt ?? Infinity) - (b.raisedAt ?? Infinity) ||
    (a.id < b.id ? -1 : 1)
  );
}
