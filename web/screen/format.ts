const grouping = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

/** 11,600; a dash for what is not known. */
export function whole(n: number | undefined): string {
  return n === undefined ? '–' : grouping.format(n);
}

/** 45 % */
export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** The time of day with seconds, in the zone of the display. */
export function clock(at: number): string {
  return new Date(at).toLocaleTimeString('en-GB');
}

/** The time of day without seconds. */
export function hour(at: number): string {
  return new Date(at).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' });
}

/** A time span: 42 s, 3 min 20 s, 5 h 12 min, 3 d 4 h. */
export function span(ms: number): string {
  const s = Math.floor(Math.max(0, ms) / 1000);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

/** A time span in whole minutes. */
export function minutes(ms: number): string {
  return `${Math.max(1, Math.round(ms / 60_000))} min`;
}
