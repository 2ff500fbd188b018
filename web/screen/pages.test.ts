import { describe, expect, it } from 'vitest';
import type { Severity } from './data.js';
import { pageOf, TURN } from './pages.js';
import type { OpenAlert } from './zone.js';

const some = (n: number, severity: Severity, detail = ''): OpenAlert[] =>
  Array.from({ length: n }, (_, i) => ({ id: `${severity} ${i}`, severity, priority: 0, title: `${severity} ${i}`, detail, cleared: false, scope: 'zone' }));

/** The alerts of each page, in the order of their turns. */
function turns(alerts: OpenAlert[]): string[][] {
  const { pages } = pageOf(alerts, 0);
  return Array.from({ length: pages }, (_, turn) => pageOf(alerts, turn * TURN).alerts.map(({ id }) => id));
}

describe('pageOf', () => {
  it('shows at once what there is room for', () => {
    expect(pageOf(some(5, 'warning'), 0)).toMatchObject({ page: 1, pages: 1 });
    expect(turns(some(2, 'critical', 'leave the building'))).toHaveLength(1);
    expect(turns([])).toEqual([[]]);
  });

  it.each([
    ['one critical alert among many', [...some(1, 'critical', 'detail'), ...some(40, 'warning', 'detail')]],
    ['more critical alerts than fit', [...some(9, 'critical', 'detail'), ...some(5, 'info')]],
    ['two hundred', [...some(3, 'critical'), ...some(197, 'warning')]],
  ])('hides no alert for good: %s', (_, alerts) => {
    expect(new Set(turns(alerts).flat())).toEqual(new Set(alerts.map(({ id }) => id)));
  });

  it('leaves a critical alert on every page while others take turns', () => {
    for (const page of turns([...some(1, 'critical', 'detail'), ...some(30, 'warning', 'detail')]))
      expect(page).toEqual(['critical 0', expect.stringContaining('warning')]);
  });
});
