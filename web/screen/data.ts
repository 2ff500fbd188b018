/**
 * Reads what publishers sent. Anybody with the permission to publish may send anything under these names, so nothing is
 * taken on trust: what does not fit is left out, and the screen shows a dash for it. What is meant well is understood:
 * numbers as text, times in ms or as ISO 8601 has them, ids that are numbers, severities in any case.
 */

/** What a zone does at one moment. */
export interface Figures {
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
  /** When the next shift begins. */
  nextStartsAt?: number;
  /** Units per hour. */
  rateTarget?: number;
  unitsTarget?: number;
  /** Where the warehouse is, as IANA names it: Europe/Berlin. */
  timeZone?: string;
}

export interface Alert {
  id: string;
  severity: Severity;
  /** Of two alerts of one severity the higher comes first; 0 unless the publisher says so. */
  priority: number;
  title: string;
  detail: string;
  raisedAt?: number;
  /** When it ends without being cleared. */
  expiresAt?: number;
  cleared: boolean;
}

/** Someone has seen to an alert. */
export interface Acknowledgement {
  id: string;
  /** Empty where nobody has to say who it is. */
  by: string;
  at?: number;
}

export type Severity = 'critical' | 'warning' | 'info';

export interface Snapshot {
  plan: Plan;
  figures: Figures;
  /** The publisher's clock, in ms since 1970, where it is not the server's. */
  now?: number;
  /** The alerts that are open; undefined when the snapshot does not speak of alerts. */
  alerts?: Alert[];
}

export type Update = Pick<Snapshot, 'figures' | 'now'>;

const MAX_TEXT = 300;
const MAX_ALERTS = 1000;
/** What is larger was not meant: no warehouse counts a trillion of anything. */
const MAX_NUMBER = 1e12;
/** A time before 2000 or after 2099 was not meant: it may be in seconds, or no time at all. */
const TIMES = [Date.UTC(2000), Date.UTC(2100)] as const;

export function readSnapshot(data: unknown): Snapshot | undefined {
  const fields = record(data);
  if (!fields) return undefined;
  const snapshot: Snapshot = {
    plan: {
      ...text('name', fields.name),
      ...time('startsAt', fields.startsAt),
      ...time('endsAt', fields.endsAt),
      ...time('nextStartsAt', fields.nextStartsAt),
      ...number('rateTarget', fields.unitsPerHourTarget),
      ...number('unitsTarget', fields.unitsTarget),
      ...zone('timeZone', fields.timeZone),
    },
    ...update(fields),
  };
  if (Array.isArray(fields.alerts))
    snapshot.alerts = fields.alerts.slice(0, MAX_ALERTS).map(readAlert).filter((alert) => alert !== undefined);
  return snapshot;
}

export function readUpdate(data: unknown): Update | undefined {
  const fields = record(data);
  return fields && update(fields);
}

/** An alert without an id is known by its title: the same title clears it. */
export function readAlert(data: unknown): Alert | undefined {
  const fields = record(data);
  if (!fields) return undefined;
  const { title } = text('title', fields.title);
  const { id = title } = text('id', fields.id);
  if (id === undefined) return undefined;
  const { priority = 0 } = number('priority', fields.priority);
  const ended = typeof fields.clearedAt === 'string' ? Date.parse(fields.clearedAt) : fields.clearedAt;
  return {
    id,
    severity: severity(fields.severity),
    priority,
    title: title ?? id,
    detail: text('detail', fields.detail).detail ?? '',
    ...time('raisedAt', fields.raisedAt),
    ...time('expiresAt', fields.expiresAt),
    cleared: fields.cleared === true || (typeof ended === 'number' && ended > 0),
  };
}

export function readAcknowledgement(data: unknown): Acknowledgement | undefined {
  const fields = record(data);
  const { id } = text('id', fields?.id);
  return fields && id !== undefined ? { id, by: text('by', fields.by).by ?? '', ...time('at', fields.at) } : undefined;
}

/** A word that is not ours is no reason to hide an alert. */
function severity(value: unknown): Severity {
  const word = typeof value === 'string' ? value.trim().toLowerCase() : '';
  return word === 'critical' || word === 'info' ? word : 'warning';
}

function update(fields: Record<string, unknown>): Update {
  return {
    ...time('now', fields.now),
    figures: {
      ...number('workers', fields.workers),
      ...number('unitsDone', fields.unitsDone),
      ...number('pickRate', fields.pickRate),
      ...number('ordersOpen', fields.ordersOpen),
    },
  };
}

function record(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
}

type Maybe<Name extends string, Value> = { [name in Name]?: Value };

/** {name: value} if value is a number between 0 and what a warehouse can have, or the text of one; else nothing. */
function number<Name extends string>(name: Name, value: unknown): Maybe<Name, number> {
  const n = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  return typeof n === 'number' && n >= 0 && n < MAX_NUMBER ? ({ [name]: n } as Maybe<Name, number>) : {};
}

/** {name: value} if value is a time of this century, in ms since 1970 or as ISO 8601 has it; else nothing. */
function time<Name extends string>(name: Name, value: unknown): Maybe<Name, number> {
  const at = typeof value === 'string' ? Date.parse(value) : value;
  return typeof at === 'number' && at >= TIMES[0] && at < TIMES[1] ? ({ [name]: at } as Maybe<Name, number>) : {};
}

/** {name: value} if value is text or a number, cut to a length that a wall can hold. */
function text<Name extends string>(name: Name, value: unknown): Maybe<Name, string> {
  const words = typeof value === 'number' ? String(value) : value;
  if (typeof words !== 'string' || words.trim() === '') return {};
  return { [name]: words.trim().slice(0, MAX_TEXT) } as Maybe<Name, string>;
}

/** {name: value} if value is a time zone that this browser knows. */
function zone<Name extends string>(name: Name, value: unknown): Maybe<Name, string> {
  return typeof value === 'string' && isTimeZone(value) ? ({ [name]: value } as Maybe<Name, string>) : {};
}

export function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
