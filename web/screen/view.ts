import { type AlertsOptions, AlertsPanel } from './alerts-panel.js';
import { place, set, write } from './dom.js';
import { fit } from './fit.js';
import { type Format, minutes } from './format.js';
import { level, progress } from './progress.js';
import type { Words } from './words.js';
import type { Zone } from './zone.js';

/**
 * Puts the zone into the page. All that was published goes in as text or as a number, never as HTML; the shapes are those
 * of the page's own templates.
 */
export class View {
  /** What people call the zone. */
  name: string;
  /** How many critical alerts are open. */
  critical = 0;
  readonly #alerts: AlertsPanel;
  readonly say: Words;
  readonly format: Format;

  constructor(zoneName: string, options: AlertsOptions) {
    this.name = zoneName;
    this.say = options.say;
    this.format = options.format;
    this.#alerts = new AlertsPanel(options);
  }

  /** Shows the zone as it is at this time of the server, in ms since 1970. */
  zone(zone: Zone, serverTime: number): void {
    const now = zone.now(serverTime);
    const known = zone.updatedAt !== undefined;
    write('clock', this.format.hour(now));
    place('board').hidden = !known;
    place('waiting').hidden = known;
    this.critical = this.#alerts.show(zone.alerts, zone.doubtful, now);
    if (!known) return;
    this.name = zone.plan.name ?? this.name;
    write('name', this.name);
    this.#rate(zone);
    this.#shift(zone, now);
    this.#number('orders', zone.figures.ordersOpen);
    this.#number('workers', zone.figures.workers);
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
}
