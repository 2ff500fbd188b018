import type { Alert } from './data.js';
import { hour, minutes, percent, whole } from './format.js';
import { level, progress } from './progress.js';
import type { Refusal } from './refusal.js';
import type { Status } from './status.js';
import type { Zone } from './zone.js';

/** How many alerts are shown in full; the others are counted. */
const SHOWN_ALERTS = 3;

/**
 * Puts the zone into the page. All that was published goes in as text or as a number, never as HTML; the shapes are those
 * of the page's own templates.
 */
export class View {
  readonly #page = document.documentElement;
  readonly #zoneName: string;
  /** What the alerts in the page show, to leave them alone while nothing changes. */
  #shownAlerts = '';

  constructor(zoneName: string) {
    this.#zoneName = zoneName;
  }

  status({ state, headline, detail }: Status): void {
    if (this.#page.dataset.state !== state) this.#page.dataset.state = state;
    write('status-headline', headline);
    write('status-detail', detail);
  }

  /** The style sheet shows it in the state `refused`. */
  refusal({ title, reason }: Refusal): void {
    write('refused-title', title);
    write('refused-reason', reason);
  }

  clock(at: number): void {
    write('clock', hour(at));
  }

  zone(zone: Zone): void {
    const { plan, figures } = zone;
    const known = zone.updatedAt !== undefined;
    place('board').hidden = !known;
    place('waiting').hidden = known;
    this.#alerts(zone.alerts);
    if (!known) return;
    const name = plan.name ?? this.#zoneName;
    write('name', name);
    document.title = name;
    this.#rate(zone);
    this.#shift(zone);
    write('orders', whole(figures.ordersOpen));
    write('workers', whole(figures.workers));
  }

  #rate({ plan: { rateTarget }, figures: { pickRate }, trend }: Zone): void {
    write('rate', whole(pickRate));
    const compared = pickRate !== undefined && rateTarget !== undefined && rateTarget > 0;
    const share = compared ? pickRate / rateTarget : undefined;
    place('rate-panel').dataset.level = share === undefined ? '' : level(share);
    write('rate-target', rateTarget === undefined ? '' : `target ${whole(rateTarget)}`);
    write('rate-share', share === undefined ? '' : `${percent(share)} of target`);
    const drawing = trend.draw(rateTarget);
    place('trend-panel').hidden = drawing === undefined;
    if (!drawing) return;
    set('trend-line', 'd', drawing.line);
    set('trend-area', 'd', drawing.area);
    set('trend-target', 'd', drawing.target === undefined ? '' : `M0 ${drawing.target}H600`);
    write('trend-span', `last ${minutes(trend.span)}`);
  }

  #shift({ plan, figures }: Zone): void {
    const { startsAt, endsAt, unitsTarget } = plan;
    const { time, units, ahead, level } = progress(plan, figures);
    write('done', whole(figures.unitsDone));
    write('goal', unitsTarget === undefined ? 'units done' : `of ${whole(unitsTarget)} units`);
    place('units-row').hidden = units === undefined;
    place('time-row').hidden = time === undefined;
    if (units !== undefined) {
      write('units-share', percent(units));
      set('units-bar', 'width', String(Math.round(units * 1000)));
    }
    if (time !== undefined && startsAt !== undefined && endsAt !== undefined && figures.now !== undefined) {
      write('time-share', percent(time));
      set('time-bar', 'width', String(Math.round(time * 1000)));
      write('hours', `${hour(startsAt)} – ${hour(endsAt)}, now ${hour(figures.now)}`);
    } else write('hours', '');
    place('plan').dataset.level = level ?? '';
    write('plan', ahead === undefined ? '' : ahead >= 0 ? `${whole(ahead)} units ahead of plan` : `${whole(-ahead)} units behind plan`);
  }

  #alerts(alerts: Alert[]): void {
    const shown = alerts.slice(0, SHOWN_ALERTS);
    const state = JSON.stringify([shown, alerts.length]);
    if (state === this.#shownAlerts) return;
    this.#shownAlerts = state;
    this.#page.toggleAttribute('data-critical', alerts.some(({ severity }) => severity === 'critical'));
    place('alerts-panel').hidden = alerts.length === 0;
    place('alerts').replaceChildren(...shown.map(alertItem));
    const more = alerts.length - shown.length;
    write('alerts-more', more > 0 ? `and ${more} more` : '');
  }
}

function alertItem({ severity, title, detail, raisedAt }: Alert): Node {
  const template = place(`alert-${severity}`) as HTMLTemplateElement;
  const item = template.content.cloneNode(true) as DocumentFragment;
  const fill = (part: string, text: string) => {
    const element = item.querySelector(`.${part}`);
    if (element) element.textContent = text;
  };
  fill('title', title);
  fill('detail', detail);
  fill('since', raisedAt === undefined ? '' : `since ${hour(raisedAt)}`);
  return item;
}

/** The elements are looked up once: the page's frame never changes. */
const places = new Map<string, HTMLElement>();

function place(id: string): HTMLElement {
  let element = places.get(id);
  if (!element) {
    element = document.getElementById(id) ?? undefined;
    if (!element) throw new Error(`the page has no element #${id}`);
    places.set(id, element);
  }
  return element;
}

function write(id: string, text: string): void {
  const element = place(id);
  if (element.textContent !== text) element.textContent = text;
}

function set(id: string, attribute: string, value: string): void {
  place(id).setAttribute(attribute, value);
}
