import { AlertsPanel, type AlertsOptions } from './alerts-panel.js';
import type { Severity } from './data.js';
import { make, place, write } from './dom.js';
import { age, span, type Format } from './format.js';
import type { Past } from './history.js';
import { type Sight, type Tile, viewAt } from './layout.js';
import { level, progress } from './progress.js';
import type { WallWords } from './wall-words.js';
import type { Warehouse } from './warehouse.js';
import type { Words } from './words.js';
import type { Zone } from './zone.js';

/** For how long a page of zones is shown where not all have room, in milliseconds. */
const TURN = 12_000;
/** How many lines of a list are shown. */
const LINES = 8;

export interface WallOptions extends AlertsOptions {
  wallSay: WallWords;
  /** After how long without news the figures of a zone count as old, in milliseconds. */
  staleAfter(zone: Zone): number;
}

/** What a zone is doing, in words and signs. */
interface Summary {
  name: string;
  rate: string;
  share: string;
  level: string;
  plan: string;
  planLevel: string;
  orders: string;
  people: string;
  alerts: string;
  critical: boolean;
  age: string;
  stale: boolean;
}

/** Puts the wall of a warehouse into the page. All that was published goes in as text. */
export class WallView {
  critical = 0;
  readonly #alerts: AlertsPanel;
  readonly #say: Words;
  readonly #wallSay: WallWords;
  readonly #format: Format;
  /** What is in the page, to leave it alone while nothing changes. */
  #shown = '';

  constructor(private readonly options: WallOptions) {
    this.#alerts = new AlertsPanel(options);
    this.#say = options.say;
    this.#wallSay = options.wallSay;
    this.#format = options.format;
  }

  /** Shows the view whose turn it is. */
  show(warehouse: Warehouse, views: readonly Sight[], { now, hidden, mistake }: { now: number; hidden: number; mistake: string }): void {
    this.critical = this.#alerts.show(warehouse.alerts, warehouse.doubtful, now);
    const turn = viewAt(views, now);
    const { tiles = [] } = views[turn] ?? {};
    const content = tiles.map((tile) => this.#tile(tile, warehouse, now));
    const wall = place('wall');
    wall.dataset.tiles = String(tiles.length);
    const shown = content.map((tile) => tile.outerHTML).join('');
    if (shown !== this.#shown) {
      this.#shown = shown;
      wall.replaceChildren(...content);
    }
    const notes = [mistake && this.#wallSay.badLayout(mistake), hidden > 0 && this.#wallSay.more(this.#format.whole(hidden)),
      views.length > 1 && this.#say.page(turn + 1, views.length)];
    write('wall-note', notes.filter(Boolean).join(' · '));
  }

  #tile(tile: Tile, warehouse: Warehouse, now: number): HTMLElement {
    if (tile.kind === 'zones') return this.#zones(warehouse, now);
    if (tile.kind === 'history') return this.#history(warehouse.history);
    if (tile.kind === 'zone') return this.#zone(this.#summary(tile.zone, warehouse.zone(tile.zone), now));
    const value = warehouse.value(tile);
    return tile.kind === 'number' ? this.#number(tile, value) : this.#list(tile.title, value);
  }

  #summary(zoneName: string, zone: Zone, serverTime: number): Summary {
    const { plan, figures, updatedAt, outdated } = zone;
    const now = zone.now(serverTime);
    const format = this.#format;
    const { phase, ahead, level: planLevel = '' } = progress(plan, figures, now);
    const share = figures.pickRate !== undefined && plan.rateTarget ? figures.pickRate / plan.rateTarget : undefined;
    const stale = updatedAt === undefined || outdated || serverTime - updatedAt > this.options.staleAfter(zone);
    const open = zone.alerts.filter(({ expiresAt = Infinity }) => expiresAt > now);
    const old = serverTime - (updatedAt ?? serverTime);
    const said = old < 60_000 ? span(old) : age(old);
    return {
      name: plan.name ?? zoneName,
      rate: format.short(figures.pickRate),
      share: share === undefined ? '' : `${Math.round(share * 100) >= 100 ? '▲' : '▼'} ${format.percent(share)}`,
      level: share === undefined || stale ? '' : level(share),
      plan: phase === 'after' ? this.#say.over : ahead === undefined ? '–' : ahead === 0 ? this.#say.onPlan : ahead > 0 ? `▲ +${format.short(ahead)}` : `▼ −${format.short(-ahead)}`,
      planLevel: stale || phase === 'before' ? '' : planLevel,
      orders: format.short(figures.ordersOpen),
      people: format.short(figures.workers),
      alerts: open.length > 0 ? format.whole(open.length) : '–',
      critical: open.some(({ severity }) => severity === 'critical'),
      age: updatedAt === undefined ? this.#wallSay.never : stale ? this.#wallSay.old(said) : this.#wallSay.ago(said),
      stale,
    };
  }

  /** All zones, in pages where they don't fit. */
  #zones(warehouse: Warehouse, now: number): HTMLElement {
    const say = this.#wallSay;
    const all = [...warehouse.zones].sort(([a], [b]) => (a < b ? -1 : 1));
    const head = [say.zone, say.rate, say.plan, say.orders, say.people, say.alerts, say.age];
    if (all.length === 0) return make('section', 'tile zones', make('p', 'empty', say.noZones));
    const room = roomForRows();
    const pages = Math.ceil(all.length / room);
    const page = Math.floor(now / TURN) % pages;
    const rows = all.slice(page * room, (page + 1) * room).map(([name, zone]) => this.#row(name, this.#summary(name, zone, now)));
    const table = make('table', '', make('thead', '', make('tr', '', ...head.map(headCell))), make('tbody', '', ...rows));
    return make('section', 'tile zones', table, ...(pages > 1 ? [make('p', 'turn', this.#say.page(page + 1, pages))] : []));
  }

  /** What became of the shift's alerts. */
  #history(all: Past[]): HTMLElement {
    const say = this.#wallSay;
    const name = (room: string) => (room.startsWith('zone:') ? room.split(':')[2] : say.building) ?? '';
    const rows = all.slice(0, roomForRows()).map(({ room, severity, title, raisedAt, timeToAcknowledge, acknowledgedAt, acknowledgedBy = '', endedAt, timeToClear = 0, escalatedAt }) => {
      const cell = make('th', '', title);
      cell.scope = 'row';
      cell.dir = 'auto';
      const seen = acknowledgedAt === undefined ? (escalatedAt === undefined ? '–' : this.#say.escalated) : `${age(timeToAcknowledge ?? 0)} ${acknowledgedBy}`.trim();
      return make('tr', '', cell, make('td', severity === 'critical' ? 'alarm' : '', this.#say[isSeverity(severity) ? severity : 'warning']), make('td', '', name(room)),
        make('td', '', this.#format.hour(raisedAt)), make('td', '', seen), make('td', '', endedAt === undefined ? say.open : age(timeToClear)));
    });
    const head = [say.alerts, '', say.zone, say.raised, say.seenAfter, say.clearedAfter];
    const table = make('table', '', make('thead', '', make('tr', '', ...head.map(headCell))), make('tbody', '', ...rows));
    const more = all.length > rows.length ? [make('p', 'turn', `+ ${all.length - rows.length}`)] : [];
    return rows.length > 0 ? make('section', 'tile zones history', table, ...more) : make('section', 'tile zones', make('p', 'empty', say.noAlerts));
  }

  #row(zoneName: string, summary: Summary): HTMLElement {
    const { name, rate, share, plan, orders, people, alerts } = summary;
    const link = make('a', '', name);
    link.href = `${location.pathname.replace(/\/$/, '')}/${zoneName}${location.search}${location.hash}`;
    const title = make('th', '', link);
    title.scope = 'row';
    title.dir = 'auto';
    const cell = (className: string, level: string, ...content: (string | Node)[]) => {
      const made = make('td', className, ...content);
      made.dataset.level = level;
      return made;
    };
    const row = make('tr', summary.stale ? 'stale' : '', title,
      cell('rate', summary.level, make('b', '', rate), ' ', make('span', '', share)),
      cell('plan', summary.planLevel, plan), cell('', '', orders), cell('', '', people),
      cell(summary.critical ? 'alarm' : '', '', summary.critical ? `⚠ ${alerts}` : alerts), cell('age', '', summary.age));
    return row;
  }

  #zone(summary: Summary): HTMLElement {
    const say = this.#wallSay;
    const pair = (word: string, value: string, className = '') => make('div', className, make('dt', '', word), make('dd', '', value));
    const rate = make('p', 'figure', make('b', '', summary.rate), ' ', make('span', '', summary.share));
    rate.dataset.level = summary.level;
    const plan = make('p', 'plan', summary.plan === '–' ? '' : summary.plan);
    plan.dataset.level = summary.planLevel;
    const title = make('h2', '', summary.name);
    title.dir = 'auto';
    return make('section', summary.stale ? 'tile zone stale' : 'tile zone', title, rate, plan,
      make('dl', '', pair(say.orders, summary.orders), pair(say.people, summary.people),
        pair(say.alerts, summary.critical ? `⚠ ${summary.alerts}` : summary.alerts, summary.critical ? 'alarm' : ''), pair(say.age, summary.age)));
  }

  #number({ title, unit, least = -Infinity, most = Infinity }: Tile & { kind: 'number' }, value: unknown): HTMLElement {
    const n = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
    const known = typeof n === 'number' && Math.abs(n) < 1e12;
    const wrong = !known ? '' : n < least ? this.#wallSay.tooLow : n > most ? this.#wallSay.tooHigh : '';
    const figure = make('p', 'figure', make('b', '', known ? this.#format.decimal(n) : '–'), ' ', make('span', '', unit));
    figure.dataset.level = wrong ? 'bad' : '';
    return make('section', 'tile number', heading(title), figure, ...(wrong ? [make('p', 'plan', wrong)] : []));
  }

  #list(title: string, value: unknown): HTMLElement {
    const lines = (Array.isArray(value) ? value : []).map(lineOf).filter((line) => line !== undefined);
    const items = lines.slice(0, LINES).map(([name, note]) => make('li', '', make('span', '', name), ...(note ? [make('b', '', note)] : [])));
    const more = lines.length > LINES ? [make('p', 'turn', `+ ${lines.length - LINES}`)] : [];
    const empty = lines.length === 0 ? [make('p', 'empty', Array.isArray(value) ? this.#wallSay.none : '–')] : [];
    return make('section', 'tile list', heading(title), make('ul', '', ...items), ...more, ...empty);
  }
}

function isSeverity(word: string): word is Severity {
  return word === 'critical' || word === 'warning' || word === 'info';
}

function heading(title: string): HTMLElement {
  const made = make('h2', '', title);
  made.dir = 'auto';
  return made;
}

function headCell(word: string): HTMLElement {
  if (!word) return make('td', '');
  const cell = make('th', '', word);
  cell.scope = 'col';
  return cell;
}

/** An element of a list: a text, a number, or {name, value}. */
function lineOf(value: unknown): [name: string, note: string] | undefined {
  if (typeof value === 'string' || typeof value === 'number') return [String(value).slice(0, 100), ''];
  if (typeof value !== 'object' || value === null) return undefined;
  const { name, value: note = '' } = value as Record<string, unknown>;
  return typeof name === 'string' || typeof name === 'number' ? [String(name).slice(0, 100), typeof note === 'object' ? '' : String(note).slice(0, 40)] : undefined;
}

/** How many rows of zones have room: the style sheet says how high one is. */
function roomForRows(): number {
  const wall = place('wall');
  const row = parseFloat(getComputedStyle(document.documentElement).fontSize) * 6;
  return Math.max(3, Math.floor(wall.clientHeight / row) - 1);
}
