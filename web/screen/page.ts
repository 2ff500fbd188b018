import { write } from './dom.js';
import { Format } from './format.js';
import type { Refusal } from './refusal.js';
import { type Settings, settings } from './settings.js';
import type { Status } from './status.js';
import { choose } from './theme.js';
import { type PageWord, words, type Words } from './words.js';

/** What all screens have around their figures: the language, the theme, the state of the connection in the page and its tab. */
export class Page {
  readonly chosen: Settings = settings(location.search, navigator.languages);
  readonly say: Words = words[this.chosen.language];
  readonly format = new Format(this.chosen.locale, this.chosen.timeZone);
  readonly #root = document.documentElement;
  readonly #icon = document.querySelector<HTMLLinkElement>('link[rel=icon]');

  constructor() {
    const { mistakes, language, theme, scale } = this.chosen;
    for (const mistake of mistakes) console.warn('zonecast screen:', mistake);
    this.#root.lang = language;
    if (theme) choose(theme);
    if (scale) this.#root.style.setProperty('--scale', String(scale));
    for (const root of [document, ...[...document.querySelectorAll('template')].map(({ content }) => content)])
      for (const element of root.querySelectorAll<HTMLElement>('[data-word]'))
        element.textContent = this.say[element.dataset.word as PageWord];
  }

  /** Shows the state, and says in the title of the tab and by its icon what is wrong. */
  status({ state, headline, detail }: Status, name: string, critical: number): void {
    if (this.#root.dataset.state !== state) this.#root.dataset.state = state;
    write('status-headline', headline);
    write('status-detail', detail);
    const alarm = critical > 0 ? `⚠ ${critical} ${this.say.critical}` : '';
    const title = [state === 'live' ? '' : headline, alarm, name].filter(Boolean).join(' · ');
    if (document.title !== title) document.title = title;
    const dataset: DOMStringMap = this.#icon?.dataset ?? {};
    const icon = /lost|refused/.test(state) ? dataset.lost : critical > 0 ? dataset.alarm : /stale|outdated/.test(state) ? dataset.stale : dataset.live;
    if (this.#icon && icon && this.#icon.getAttribute('href') !== icon) this.#icon.href = icon;
  }

  /** The style sheet shows it in the state `refused`. */
  refusal({ title, reason }: Refusal): void {
    write('refused-title', title);
    write('refused-reason', reason);
  }

  clock(now: number): void {
    write('clock', this.format.hour(now));
  }
}
