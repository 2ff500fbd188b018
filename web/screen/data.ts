/**
 * Reads what publishers sent. Anybody with the permission to publish may send anything under these names, so nothing is
 * taken on trust: what does not fit is left out, and the screen shows a dash for it.
 */

/** What a zone does at one moment. */
export interface Figures {
  /** When, by the publisher's clock, in ms since 1970. */
  now?: number;
  workers?: number;
  unitsDone?: number;
  /** Units per hour. */
  pickRate?: number;
  ordersOpen?: number;
}

/** The frame of a shift: what does not change until the next one. Times are ms since 1970. */
export interface Plan {
  /** What people call the zone. */
  name?: string;
  startsAt?: number;
  endsAt?: number;
  /** Units per hour. */
  rateTarget?: number;
  unitsTarget?: number;
}

export interface Alert {
  id: string;
  severity: Severity;
  title: string;
  detail: string;
  raisedAt?: number;
  cleared: boolean;
}

export type Severity = 'critical' | 'warning' | 'info';

export interface Snapshot {
  plan: Plan;
  figures: Figures;
  /** The alerts that are open; undefined when the snapshot does not speak of alerts. */
  alerts?: Alert[];
}

const MAX_TEXT = 300;
const MAX_ALERTS = 200;

export function readSnapshot(data: unknown): Snapshot | undefined {
  const fields = record(data);
  if (!fields) return undefined;
  const snapshot: Snapshot = {
    plan: {
      ...text('name', fields.name),
      ...number('startsAt', fields.startsAt),
      ...number('endsAt', fields.endsAt),
      ...number('rateTarget', fields.unitsPerHourTarget),
      ...number('unitsTarget', fields.unitsTarget),
    },
    figures: figures(fields),
  };
  if (Array.isArray(fields.alerts))
    snapshot.alerts = fields.alerts.slice(0, MAX_ALERTS).map(readAlert).filter((alert) => alert !== undefined);
  return snapshot;
}

export function readUpdate(data: unknown): Figures | undefined {
  const fields = record(data);
  return fields && figures(fields);
}

export function readAlert(data: unknown): Alert | undefined {
  const fields = record(data);
  const { id } = text('id', fields?.id);
  if (!fields || id === undefined) return undefined;
  return {
    id,
    severity: severity(fields.severity),
    title: text('title', fields.title).title ?? id,
    detail: text('detail', fields.detail).detail ?? '',
    ...number('raisedAt', fields.raisedAt),
    cleared: typeof fields.clearedAt === 'number',
  };
}

/** A word that is not ours is no reason to hide an alert. */
function severity(value: unknown): Severity {
  return value === 'critical' || value === 'info' ? value : 'warning';
}

function figures(fields: Record<string, unknown>): Figures {
  return {
    ...number('now', fields.now),
    ...number('workers', fields.workers),
    ...number('unitsDone', fields.unitsDone),
    ...number('pickRate', fields.pickRate),
    ...number('ordersOpen', fields.ordersOpen),
  };
}

function record(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
}

/** {name: value} if value is a finite number of at least 0, else nothing. */
function number<Name extends string>(name: Name, value: unknown): { [name in Name]?: number } {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? { [name]: value } as { [name in Name]: number } : {};
}

/** {name: value} if value is text, cut to a length that a wall can hold. */
function text<Name extends string>(name: Name, value: unknown): { [name in Name]?: string } {
  if (typeof value !== 'string' || value.trim() === '') return {};
  return { [name]: value.trim().slice(0, MAX_TEXT) } as { [name in Name]: string };
}
