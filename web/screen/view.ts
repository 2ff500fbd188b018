import { fit } from './fit.js';
import { age, type Format, minutes } from './format.js';
import { pageOf } from './pages.js';
import { level, progress } from './progress.js';
import type { Refusal } from './refusal.js';
import type { Status } from './status.js';
import type { PageWord, Words } from './words.js';
import type { OpenAlert, Zone } from './zone.js';

/**
 * Puts the zone into the page. All that was published goes in as text or as a number, never as HTML; the shapes are those
 * of the page's own templates.
 */
export class View {
  readonly #page = document.documentElement;
  /** What the alerts in the page show, to leave them alone while nothing changes. */
  #shownAlerts = '';
  /** The alerts that were said to those who hear the page. */
  #said = new Set<string>();
  #headline = '';
  #name: string;
  #critical = 0;

  constructor(
    zoneName: string,
    private readonly say: Words,
    private readonly format: Format,
    private readonly acknowledge: (alert: OpenAlert) => void,
    /** For how long an alert may be open before it is made to stand out, if nobody has seen to it. In milliseconds. */
    private readonly escalateAfter: number,
  ) {
    this.#name = zoneName;
    for (const root of [document, ...[...document.querySelectorAll('template')].map(({ content }) => content)])
      for (const element of root.querySelectorAll<HTMLElement>('[data-word]'))
        element.textContent = say[element.dataset.word as PageWord];
    place('alerts-panel').setAttribute('aria-label', say.openAlerts);
  }

  status({ state, headline, detail }: Status): void {
    if (this.#page.dataset.state !== state) this.#page.dataset.state = state;
    write('status-headline', headline);
    write('status-detail', detail);
    this.#headline = state === 'live' ? '' : headline;
    this.#title();
  }

  /** The style sheet shows it in the state `refused`. */
  refusal({ title, reason }: Refusal): void {
    write('refused-title', title);
    write('refused-reason', reason);
  }

  /** Shows the zone as it is at this time of the server, in ms since 1970. */
  zone(zone: Zone, serverTime: number): void {
    const now = zone.now(serverTime);
    const known = zone.updatedAt !== undefined;
    write('clock', this.format.hour(now));
    place('board').hidden = !known;
    place('waiting').hidden = known;
    this.#alerts(zone, now);
    if (!known) return;
    this.#name = zone.plan.name ?? this.#name;
    write('name', this.#name);
    this.#rate(zone);
    this.#shift(zone, now);
    this.#number('orders', zone.figures.ordersOpen);
    this.#number('workers', zone.figures.workers);
  }

  #title(): void {
    const alarm = this.#critical > 0 ? `⚠ ${this.#critical} ${this.say.critical}` : '';
    const title = [this.#headline, alarm, this.#name].filter(Boolean).join(' · ');
    if (document.title !== title) document.title = title;
  }

  #number(id: string, n: number | undefined): void {
    fit(place(id), this.format.whole(n), this.format.short(n));
  }

  #rate({ plan: { rateTarget }, figures: { pickRate }, trend }: Zone): void {
    const { format, say } = this;
    this.#number('rate', pickRate);
    const compared = pickRate !== undefined && rateTarget !== undefined && rateTarget > 0;
    const share = compared ? pickRate / rateTarget : undefined;
    place('rate-panel').dataset.level = share === undefined ? '' : level(share);
    write('rate-target', rateTarget === undefined ? '' : say.target(format.whole(rateTarget)));
    const sign = share === undefined || Math.round(share * 100) >= 100 ? '▲' : '▼';
    write('rate-share', share === undefined ? '' : `${sign} ${say.ofTarget(format.percent(share))}`);
    const drawing = trend.draw(rateTarget);
    place('trend-panel').hidden = drawing === undefined;
    if (!drawing) return;
    set('trend-line', 'd', drawing.line);
    set('trend-area', 'd', drawing.area);
    set('trend-target', 'd', drawing.target === undefined ? '' : `M0 ${drawing.target}H600`);
    write('trend-span', say.lastSpan(minutes(trend.span)));
  }

  #shift({ plan, figures }: Zone, now: number): void {
    const { format, say } = this;
    const { startsAt = 0, endsAt = 0, unitsTarget, nextStartsAt } = plan;
    const { phase, time, units, ahead, level: reached } = progress(plan, figures, now);
    this.#number('done', figures.unitsDone);
    write('goal', unitsTarget === undefined ? say.unitsDone : say.ofUnits(format.whole(unitsTarget)));
    place('units-row').hidden = units === undefined;
    place('time-row').hidden = phase !== 'during' || time === undefined;
    if (units !== undefined) {
      write('units-share', format.percent(units));
      set('units-bar', 'width', String(Math.round(Math.min(1, units) * 1000)));
      set('units-mark', 'x', units > 1 ? String(Math.round(1000 / units)) : '-10');
    }
    if (time !== undefined) {
      write('time-share', format.percent(time));
      set('time-bar', 'width', String(Math.round(time * 1000)));
    }
    write('hours', phase === undefined ? '' : say.hours(format.hour(startsAt), format.hour(endsAt), format.hour(now)));
    place('plan').dataset.level = (phase === 'before' ? undefined : reached) ?? '';
    if (phase === 'before') write('plan', say.begins(format.hour(startsAt)));
    else if (phase === 'after') {
      const done = units === undefined ? say.over : say.overAt(format.whole(figures.unitsDone), format.whole(unitsTarget), format.percent(units));
      write('plan', nextStartsAt !== undefined && nextStartsAt > now ? done + say.next(format.hour(nextStartsAt)) : done);
    } else write('plan', this.#against(ahead));
  }

  /** How far the shift is from its plan, by sign and by word. */
  #against(ahead: number | undefined): string {
    if (ahead === undefined) return '';
    if (ahead === 0) return this.say.onPlan;
    return ahead > 0 ? this.say.ahead(this.format.whole(ahead)) : this.say.behind(this.format.whole(-ahead));
  }

  #alerts({ alerts: all, doubtful }: Zone, now: number): void {
    const { format, say } = this;
    const alerts = all.filter(({ expiresAt = Infinity }) => expiresAt > now);
    const critical = alerts.filter(({ severity }) => severity === 'critical').length;
    const { alerts: shown, page, pages } = pageOf(alerts, now);
    const state = JSON.stringify(shown);
    if (state !== this.#shownAlerts) {
      this.#shownAlerts = state;
      place('alerts').replaceChildren(...shown.map(alertItem));
      [...place('alerts').querySelectorAll('button')].forEach((button, i) => {
        const alert = shown[i];
        if (alert) button.addEventListener('click', () => this.acknowledge(alert));
      });
    }
    this.#critical = critical;
    this.#page.toggleAttribute('data-critical', critical > 0);
    place('alerts-panel').hidden = alerts.length === 0 && doubtful.size === 0;
    [...place('alerts').children].forEach((item, i) => {
      const { raisedAt, acknowledged } = shown[i] ?? {};
      fill(item, 'since', raisedAt === undefined ? '' : say.since(age(now - raisedAt)));
      fill(item, 'seen', acknowledged ? say.seen(acknowledged.by, acknowledged.at === undefined ? '' : format.hour(acknowledged.at)) : '');
      item.classList.toggle('acknowledged', acknowledged !== undefined);
      item.classList.toggle('escalated', !acknowledged && raisedAt !== undefined && now - raisedAt >= this.escalateAfter);
    });
    write('alerts-more', pages > 1 ? `${say.counted(format.whole(alerts.length), format.whole(critical))} · ${say.page(page, pages)}` : '');
    write('alerts-doubt', doubtful.has('zone') ? say.doubt : doubtful.has('warehouse') ? say.doubtBuilding : '');
    this.#announce(alerts);
    this.#title();
  }

  /** Says each alert once, to those who hear the page, however often its page comes round. */
  #announce(alerts: OpenAlert[]): void {
    const keys = new Set(alerts.map(({ id, severity }) => `${severity} ${id}`));
    const fresh = alerts.filter(({ id, severity }) => !this.#said.has(`${severity} ${id}`));
    this.#said = keys;
    if (fresh.length > 0) write('alerts-said', fresh.map(({ severity, title }) => `${this.say[severity]}: ${title}`).slice(0, 3).join('. '));
  }
}

function alertItem({ severity, title, detail }: OpenAlert): Node {
  const template = place(`alert-${severity}`) as HTMLTemplateElement;
  const item = template.content.cloneNode(true) as DocumentFragment;
  fill(item, 'title', title);
  fill(item, 'detail', detail);
  return item;
}

function fill(item: ParentNode, part: string, text: string): void {
  const element = item.querySelector(`.${part}`);
  if (element && element.textContent !== text) element.textContent = text;
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
