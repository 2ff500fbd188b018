import { describe, expect, it } from 'vitest';
import { Zone } from './zone.js';

const snapshot = {
  shift: '2026-11-24-early',
  startsAt: 1_000,
  endsAt: 9_000,
  now: 3_000,
  zone: 'zone-a',
  name: 'Ambient picking',
  workers: 12,
  unitsPerHourTarget: 1450,
  unitsTarget: 11600,
  unitsDone: 5233,
  pickRate: 1390,
  ordersOpen: 87,
  alerts: [{ id: 'a1', severity: 'warning', title: 'Cartons run low', detail: '', raisedAt: 2_000 }],
};

const alert = (id: string, severity: string, raisedAt = 0, clearedAt?: number) => ({ id, severity, title: id, detail: '', raisedAt, clearedAt });

describe('Zone', () => {
  it('takes a snapshot, and updates after it', () => {
    const zone = new Zone();
    zone.apply('SHIFT_SNAPSHOT', 'zone', snapshot, 50_000);
    expect(zone.plan).toEqual({ name: 'Ambient picking', startsAt: 1_000, endsAt: 9_000, rateTarget: 1450, unitsTarget: 11600 });
    expect(zone.updatedAt).toBe(50_000);
    expect(zone.alerts.map(({ id }) => id)).toEqual(['a1']);

    zone.apply('ZONE_UPDATE', 'zone', { now: 4_000, workers: 11, unitsDone: 5250, pickRate: 1402, ordersOpen: 86 }, 51_000);
    expect(zone.figures).toEqual({ now: 4_000, workers: 11, unitsDone: 5250, pickRate: 1402, ordersOpen: 86 });
    expect(zone.plan.unitsTarget).toBe(11600);
    expect(zone.updatedAt).toBe(51_000);
  });

  it('shows an update before the first snapshot', () => {
    const zone = new Zone();
    zone.apply('ZONE_UPDATE', 'zone', { pickRate: 1402 }, 1);
    expect(zone.figures).toEqual({ pickRate: 1402 });
    expect(zone.plan).toEqual({});
  });

  it('takes from the warehouse its alerts and nothing else', () => {
    const zone = new Zone();
    zone.apply('SHIFT_SNAPSHOT', 'warehouse', { ...snapshot, alerts: [alert('w1', 'critical')] }, 1);
    zone.apply('ZONE_UPDATE', 'warehouse', { pickRate: 1 }, 1);
    zone.apply('ALERT', 'warehouse', alert('w2', 'info'), 1);
    expect(zone.updatedAt).toBeUndefined();
    expect(zone.figures).toEqual({});
    expect(zone.alerts.map(({ id }) => id)).toEqual(['w1', 'w2']);
  });

  it('sorts alerts by importance, then the newer first, and forgets what is cleared', () => {
    const zone = new Zone();
    for (const one of [alert('i', 'info', 9), alert('c1', 'critical', 1), alert('w', 'warning', 5), alert('c2', 'critical', 2)])
      zone.apply('ALERT', 'zone', one, 1);
    expect(zone.alerts.map(({ id }) => id)).toEqual(['c2', 'c1', 'w', 'i']);
    zone.apply('ALERT', 'zone', alert('c2', 'critical', 2, 99), 1);
    expect(zone.alerts.map(({ id }) => id)).toEqual(['c1', 'w', 'i']);
  });

  it('lets a snapshot replace the alerts of its own room alone', () => {
    const zone = new Zone();
    zone.apply('ALERT', 'zone', alert('old', 'critical'), 1);
    zone.apply('ALERT', 'warehouse', alert('building', 'info'), 1);
    zone.apply('SHIFT_SNAPSHOT', 'zone', snapshot, 1);
    expect(zone.alerts.map(({ id }) => id)).toEqual(['a1', 'building']);
    zone.apply('SHIFT_SNAPSHOT', 'zone', { ...snapshot, alerts: undefined }, 1);
    expect(zone.alerts.map(({ id }) => id)).toEqual(['a1', 'building']);
  });

  it('is outdated from a gap in its own room to the next snapshot', () => {
    const zone = new Zone();
    zone.gap('warehouse');
    expect(zone.outdated).toBe(false);
    zone.gap('zone');
    zone.apply('ZONE_UPDATE', 'zone', { pickRate: 1 }, 1);
    expect(zone.outdated).toBe(true);
    zone.apply('SHIFT_SNAPSHOT', 'zone', snapshot, 1);
    expect(zone.outdated).toBe(false);
  });

  it('keeps the important alerts when there are too many', () => {
    const zone = new Zone();
    zone.apply('ALERT', 'zone', alert('fire', 'critical'), 1);
    for (let n = 0; n < 10_000; n++) zone.apply('ALERT', 'zone', alert(`note ${n}`, 'info', n), 1);
    expect(zone.alerts).toHaveLength(50);
    expect(zone.alerts[0]?.id).toBe('fire');
  });

  it.each([null, 'text', 7, [], { pickRate: '1390' }, { pickRate: Number.NaN }, { pickRate: -1 }, { alerts: [null, 3, {}] }])(
    'survives %j under every name',
    (data) => {
      const zone = new Zone();
      for (const event of ['SHIFT_SNAPSHOT', 'ZONE_UPDATE', 'ALERT', 'ANYTHING']) zone.apply(event, 'zone', data, 1);
      expect(zone.figures.pickRate).toBeUndefined();
      expect(zone.alerts).toEqual([]);
    },
  );

  it('shows an alert whose severity is not known as a warning', () => {
    const zone = new Zone();
    zone.apply('ALERT', 'zone', { id: 'x', severity: 'catastrophe' }, 1);
    expect(zone.alerts[0]).toMatchObject({ severity: 'warning', title: 'x', detail: '' });
  });
});
