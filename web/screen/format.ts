/** From which number on it is written in which unit. */
const UNITS = [
  { from: 1e9, unit: 1e9, letter: 'G' },
  { from: 1e6, unit: 1e6, letter: 'M' },
  { from: 1e4, unit: 1e3, letter: 'k' },
];

/** Writes numbers and times as people of one place do. */
export class Format {
  readonly #whole: Intl.NumberFormat;
  readonly #short: Intl.NumberFormat;
  readonly #locale: string;
  #timeZone: string | undefined;
  #hour: Intl.DateTimeFormat;
  #clock: Intl.DateTimeFormat;

  constructor(locale: string, timeZone?: string) {
    this.#locale = locale;
    this.#whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
    this.#short = new Intl.NumberFormat(locale, { maximumSignificantDigits: 3 });
    this.#timeZone = timeZone;
    [this.#hour, this.#clock] = this.#times();
  }

  /** Times are from now on those of this place; undefined for the place of the display. */
  set timeZone(name: string | undefined) {
    if (name === this.#timeZone) return;
    this.#timeZone = name;
    [this.#hour, this.#clock] = this.#times();
  }

  #times(): [Intl.DateTimeFormat, Intl.DateTimeFormat] {
    const hour = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23', ...(this.#timeZone && { timeZone: this.#timeZone }) } as const;
    return [new Intl.DateTimeFormat(this.#locale, hour), new Intl.DateTimeFormat(this.#locale, { ...hour, second: '2-digit' })];
  }

  /** 11,600; a dash for what is not known. */
  whole(n: number | undefined): string {
    return n === undefined ? '–' : this.#whole.format(n);
  }

  /** -18.5: up to one decimal. */
  decimal(n: number): string {
    return new Intl.NumberFormat(this.#locale, { maximumFractionDigits: 1 }).format(n);
  }

  /** 11.6 k, where 11,600 has no room. */
  short(n: number | undefined): string {
    const large = UNITS.find(({ from }) => n !== undefined && n >= from);
    return n === undefined || !large ? this.whole(n) : `${this.#short.format(n / large.unit)} ${large.letter}`;
  }

  /** 45 %; what is too much to mean anything is just that. */
  percent(share: number): string {
    if (share >= 10) return '> 999 %';
    return `${this.#whole.format(Math.round(share * 100))} %`;
  }

  /** The time of day with seconds. */
  clock(at: number): string {
    return this.#clock.format(at);
  }

  /** The minute of the day. */
  minuteOfDay(at: number): number {
    const parts = new Intl.DateTimeFormat('en', { hour: 'numeric', minute: 'numeric', hourCycle: 'h23', ...(this.#timeZone && { timeZone: this.#timeZone }) }).formatToParts(at);
    const of = (type: string) => Number(parts.find((part) => part.type === type)?.value ?? 0);
    return of('hour') * 60 + of('minute');
  }

  /** The time of day without seconds. */
  hour(at: number): string {
    return this.#hour.format(at);
  }
}

/** A time span: 42 s, 3 min 20 s, 5 h 12 min, 3 d 4 h. */
export function span(ms: number): string {
  const s = Math.floor(Math.max(0, ms) / 1000);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

/** An age in its largest unit: 12 min, 5 h, 3 d; under a minute it is one. */
export function age(ms: number): string {
  const minutes = Math.max(1, Math.floor(ms / 60_000));
  if (minutes < 60) return `${minutes} min`;
  return minutes < 48 * 60 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / (24 * 60))} d`;
}

/** A time span in whole minutes. */
export function minutes(ms: number): string {
  return `${Math.max(1, Math.round(ms / 60_000))} min`;
}
