import type { Figures, Plan } from './data.js';

/** How well something goes: `good` is on target or nearly, `warn` a little under it, `bad` far under it. */
export type Level = 'good' | 'warn' | 'bad';

/** From which share of the target on. */
const GOOD = 0.97;
const WARN = 0.8;

export function level(share: number): Level {
  return share >= GOOD ? 'good' : share >= WARN ? 'warn' : 'bad';
}

/** How the shift stands. What can't be computed from what was published is undefined. */
export interface Progress {
  /** Shares between 0 and 1. */
  time: number | undefined;
  units: number | undefined;
  /** Units done more than the plan has at this time of the shift; negative when fewer. */
  ahead: number | undefined;
  level: Level | undefined;
}

export function progress(plan: Plan, figures: Figures): Progress {
  const time = elapsed(plan, figures.now);
  const { unitsDone } = figures;
  const target = plan.unitsTarget || undefined;
  const units = unitsDone !== undefined && target ? Math.min(1, unitsDone / target) : undefined;
  if (unitsDone === undefined || target === undefined || time === undefined)
    return { time, units, ahead: undefined, level: undefined };
  const due = target * time;
  return { time, units, ahead: Math.round(unitsDone - due), level: level(due === 0 ? 1 : unitsDone / due) };
}

function elapsed({ startsAt, endsAt }: Plan, now: number | undefined): number | undefined {
  if (startsAt === undefined || endsAt === undefined || now === undefined || endsAt <= startsAt) return undefined;
  return Math.min(1, Math.max(0, (now - startsAt) / (endsAt - startsAt)));
}
