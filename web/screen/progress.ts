import type { Figures, Plan } from './data.js';

/**
 * How well something goes: `good` is on target or above it, `near` a little under it, `warn` under it, `bad` far under it.
 * What is behind is never `good`, by however little.
 */
export type Level = 'good' | 'near' | 'warn' | 'bad';

/** From which percentage of the target on, of the number that is shown. */
const GOOD = 100;
const NEAR = 97;
const WARN = 80;

export function level(share: number): Level {
  const shown = Math.round(share * 100);
  return shown >= GOOD ? 'good' : shown >= NEAR ? 'near' : shown >= WARN ? 'warn' : 'bad';
}

/** How the shift stands. What can't be computed from what was published is undefined. */
export interface Progress {
  phase: 'before' | 'during' | 'after' | undefined;
  /** The share of the shift's time that is over, between 0 and 1. */
  time: number | undefined;
  /** The share of the shift's units that are done; more than 1 when there are more. */
  units: number | undefined;
  /** Units done more than the plan has at this time of the shift; negative when fewer. */
  ahead: number | undefined;
  level: Level | undefined;
}

/** `now` is the time at the warehouse, in ms since 1970. */
export function progress(plan: Plan, { unitsDone }: Figures, now: number): Progress {
  const { startsAt, endsAt } = plan;
  const target = plan.unitsTarget || undefined;
  const units = unitsDone !== undefined && target ? unitsDone / target : undefined;
  if (startsAt === undefined || endsAt === undefined || endsAt <= startsAt)
    return { phase: undefined, time: undefined, units, ahead: undefined, level: undefined };
  const time = Math.min(1, Math.max(0, (now - startsAt) / (endsAt - startsAt)));
  const phase = now < startsAt ? 'before' : now < endsAt ? 'during' : 'after';
  if (unitsDone === undefined || target === undefined) return { phase, time, units, ahead: undefined, level: undefined };
  const due = target * time;
  const ahead = Math.round(unitsDone - due);
  const reached = level(due === 0 ? 1 : unitsDone / due);
  return { phase, time, units, ahead, level: ahead < 0 && reached === 'good' ? 'near' : reached };
}
