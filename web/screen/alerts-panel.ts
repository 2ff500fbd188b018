import { fill, place, write } from './dom.js';
import { age, type Format } from './format.js';
import type { Notice } from './notice.js';
import { pageOf } from './pages.js';
import type { Words } from './words.js';
import type { OpenAlert, Scope } from './zone.js';

/** For how long after it was loaded a page takes alerts for known that it has not shown before, in milliseconds. */
const LOADING = 5_000;
/** For how long an alert is news all the same, in milliseconds. */
const NEWS = 60_000;

/** What the panel shows the alerts with. */
export interface AlertsOptions {
  say: Words;
  format: Format;
  acknowledge(alert: OpenAlert): void;
  /** For how long an alert may be open before it is made to stand out, if nobody has seen to it. In milliseconds. */
  escalateAfter: number;
  notice: Notice;
}

/** The open alerts, at the foot of the screen. */
export class AlertsPanel {
  /** What the alerts in the page show, to leave them alone while nothing changes. */
  #shown = '';
  /** The alerts that were said to those who hear the page. */
  #said = new Set<string>();

  constructor(private readonly options: AlertsOptions) {
    place('alerts-panel').setAttribute('aria-label', options.say.openAlerts);
  }

  /** Shows the alerts that are open at this time, and returns how many of them are critical. */
  show(all: OpenAlert[], doubtful: ReadonlySet<Scope>, now: number): number {
    const { format, say, escalateAfter, acknowledge } = this.options;
    const alerts = all.filter(({ expiresAt = Infinity }) => expiresAt > now);
    const critical = alerts.filter(({ severity }) => severity === 'critical').length;
    const { alerts: shown, page, pages } = pageOf(alerts, now);
    const state = JSON.stringify(shown);
    if (state !== this.#shown) {
      this.#shown = state;
      place('alerts').replaceChildren(...shown.map(alertItem));
      [...place('alerts').querySelectorAll('button')].forEach((button, i) => {
        const alert = shown[i];
        if (alert) button.addEventListener('click', () => acknowledge(alert));
      });
    }
    document.documentElement.toggleAttribute('data-critical', critical > 0);
    place('alerts-panel').hidden = alerts.length === 0 && doubtful.size === 0;
    [...place('alerts').children].forEach((item, i) => {
      const { raisedAt, acknowledged, escalated } = shown[i] ?? {};
      fill(item, 'since', raisedAt === undefined ? '' : say.since(age(now - raisedAt)));
      item.classList.toggle('acknowledged', acknowledged !== undefined);
      const late = escalated || (!acknowledged && raisedAt !== undefined && now - raisedAt >= escalateAfter);
      item.classList.toggle('escalated', late);
      const seen = acknowledged ? say.seen(acknowledged.by, acknowledged.at === undefined ? '' : format.hour(acknowledged.at)) : '';
      fill(item, 'seen', late ? say.escalated : seen);
    });
    write('alerts-more', pages > 1 ? `${say.counted(format.whole(alerts.length), format.whole(critical))} · ${say.page(page, pages)}` : '');
    write('alerts-doubt', doubtful.has('zone') ? say.doubt : doubtful.has('warehouse') ? say.doubtBuilding : '');
    this.#announce(alerts, now);
    return critical;
  }

  /** Says each alert once, to those who hear the page, however often its page comes round. */
  #announce(alerts: OpenAlert[], now: number): void {
    const keys = new Set(alerts.map(keyOf));
    const fresh = alerts.filter((alert) => !this.#said.has(keyOf(alert)));
    this.#said = keys;
    const isNews = ({ severity, raisedAt = -Infinity }: OpenAlert) => severity === 'critical' && (performance.now() > LOADING || now - raisedAt < NEWS);
    if (fresh.some(isNews)) this.options.notice.give(place('alerts-panel'));
    if (fresh.length > 0) write('alerts-said', fresh.map(({ severity, title }) => `${this.options.say[severity]}: ${title}`).slice(0, 3).join('. '));
  }
}

function keyOf({ id, severity, zone = '' }: OpenAlert): string {
  return `${severity} ${zone} ${id}`;
}

function alertItem({ severity, title, detail, where }: OpenAlert): Node {
  const template = place(`alert-${severity}`) as HTMLTemplateElement;
  const item = template.content.cloneNode(true) as DocumentFragment;
  fill(item, 'title', where ? `${where}: ${title}` : title);
  fill(item, 'detail', detail);
  return item;
}
