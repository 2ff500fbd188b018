import { describe, expect, it } from 'vitest';
import { Zone } from './zone.js';

/** A morning of 2026. */
const DAY = Date.UTC(2026, 10, 24, 6);

const snapshot = {
  shift: '2026-11-24-early',
  startsAt: DAY + 1_000,
  endsAt: DAY + 9_000,
  now: DAY + 3_000,
  zone: 'zone-a',
  name: 'Ambient picking',
  workers: 12,
  unitsPerHourTarget: 1450,
  unitsTarget: 11600,
  unitsDone: 5233,
  pickRate: 1390,
  ordersOpen: 87,
  alerts: [{ id: 'a1', severity: 'warning', title: 'Cartons run low', detail: '', raisedAt: DAY + 2_000 }],
};

const alert = (id: string, severity: string, raisedAt = 0, clearedAt?: number) => ({ id, severity, title: id, detail: '', raisedAt, clearedAt });

describe('Zone', () => {
  it('takes a snapshot, and updates after it', () => {
    const zone = new Zone();
    zone.apply('SHIFT_SNAPSHOT', 'zone', snapshot, 50_000);
    expect(zone.plan).toEqual({ name: 'Ambient picking', startsAt: DAY + 1_000, endsAt: DAY + 9_000, rateTarget: 1450, unitsTarget: 11600 });
    expect(zone.updatedAt).toBe(50_000);
    expect(zone.alerts.map(({ id }) => id)).toEqual(['a1']);

    zone.apply('ZONE_UPDATE', 'zone', { workers: 11, unitsDone: 5250, pickRate: 1402 }, 51_000);
    expect(zone.figures).toEqual({ workers: 11, unitsDone: 5250, pickRate: 1402, ordersOpen: 87 });
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

  it('sorts alerts by severity, by priority, then the longest open first, and forgets what is cleared', () => {
    const zone = new Zone();
    const late = { ...alert('late', 'critical', DAY + 3), priority: 1 };
    for (const one of [alert('i', 'info', DAY + 9), alert('c2', 'critical', DAY + 2), alert('w', 'warning', DAY + 5), late, alert('c1', 'critical', DAY + 1)])
      zone.apply('ALERT', 'zone', one, 1);
    expect(zone.alerts.map(({ id }) => id)).toEqual(['late', 'c1', 'c2', 'w', 'i']);
    for (const end of [{ clearedAt: 1_700_000_000 }, { cleared: true }, { clearedAt: '2026-11-24T07:00:00Z' }])
      zone.apply('ALERT', 'zone', { id: zone.alerts[0]?.id, ...end }, 1);
    expect(zone.alerts.map(({ id }) => id)).toEqual(['w', 'i']);
  });

  it('goes by the clock of the server, and by that of the publisher where it has another', () => {
    const zone = new Zone();
    zone.apply('SHIFT_SNAPSHOT', 'zone', { ...snapshot, now: undefined }, 50_000);
    expect(zone.now(60_000)).toBe(60_000);
    zone.apply('ZONE_UPDATE', 'zone', { now: DAY, pickRate: 1 }, 60_000);
    zone.apply('ZONE_UPDATE', 'zone', { pickRate: 2 }, 65_000);
    expect(zone.now(70_000)).toBe(DAY + 10_000);
    zone.apply('SHIFT_SNAPSHOT', 'zone', { ...snapshot, now: undefined }, 80_000);
    expect(zone.now(80_000)).toBe(80_000);
  });

  it('understands what people send', () => {
    const zone = new Zone();
    zone.apply('SHIFT_SNAPSHOT', 'zone', { startsAt: '2026-11-24T06:00:00Z', pickRate: '1390', timeZone: 'Europe/Berlin' }, 1);
    expect(zone.plan).toEqual({ startsAt: DAY, timeZone: 'Europe/Berlin' });
    expect(zone.figures).toEqual({ pickRate: 1390 });
    zone.apply('ALERT', 'zone', { id: 7, severity: 'CRITICAL', title: 'Numbered' }, 1);
    zone.apply('ALERT', 'zone', { severity: 'Info', title: 'Nameless' }, 1);
    expect(zone.alerts).toMatchObject([{ id: '7', severity: 'critical' }, { id: 'Nameless', severity: 'info' }]);
    zone.apply('ALERT', 'zone', { title: 'Nameless', cleared: true }, 1);
    expect(zone.alerts).toHaveLength(1);
  });

  it('has no number and no time that nobody can have meant', () => {
    const zone = new Zone();
    zone.apply('SHIFT_SNAPSHOT', 'zone', { startsAt: 1e308, endsAt: 1_700_000_000, now: 'soon', unitsDone: 1e308, timeZone: 'Mars/Olympus' }, 1);
    zone.apply('ALERT', 'zone', { id: 'x', raisedAt: 8.64e15 }, 1);
    expect([zone.plan, zone.figures, zone.now(5)]).toEqual([{}, {}, 5]);
    expect(zone.alerts[0]?.raisedAt).toBeUndefined();
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

  it('doubts the alerts of a room from a gap in it to its next snapshot that has them', () => {
    const zone = new Zone();
    zone.gap('warehouse');
    expect(zone.outdated).toBe(false);
    zone.apply('SHIFT_SNAPSHOT', 'zone', snapshot, 1);
    zone.apply('SHIFT_SNAPSHOT', 'warehouse', { pickRate: 1 }, 1);
    expect([...zone.doubtful]).toEqual(['warehouse']);
    zone.apply('SHIFT_SNAPSHOT', 'warehouse', { alerts: [] }, 1);
    expect([...zone.doubtful]).toEqual([]);
  });

  it('is outdated from a gap in its own room to the next snapshot', () => {
    const zone = new Zone();
    zone.gap('zone');
    zone.apply('ZONE_UPDATE', 'zone', { pickRate: 1 }, 1);
    expect(zone.outdated).toBe(true);
    zone.apply('SHIFT_SNAPSHOT', 'zone', snapshot, 1);
    expect(zone.outdated).toBe(false);
  });

  it('keeps the important alerts when there are too many', () => {
    const zone = new Zone();
    zone.apply('ALERT', 'zone', alert('fire', 'critical'), 1);
    for (let n = 0; n < 2_000; n++) zone.apply('ALERT', 'zone', alert(`note ${n}`, 'info', n), 1);
    expect(zone.alerts).toHaveLength(1000);
    expect(zone.alerts[0]?.id).toBe('fire');
  });

  it.each([null, 'text', 7, [], { pickRate: '' }, { pickRate: 'many' }, { pickRate: [1] }, { pickRate: Number.NaN }, { pickRate: -1 }, { alerts: [null, 3, {}] }])(
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

  it('knows who has seen to an alert, until it is over', () => {
    const zone = new Zone();
    const seen = () => zone.alerts.map(({ id, acknowledged }) => `${id} ${acknowledged?.by ?? '–'}`);
    zone.apply('ALERT_ACKNOWLEDGED', 'zone', { id: 7, by: 'Anna', at: DAY }, 1); // the publisher told of the alert again since
    zone.apply('ALERT', 'zone', alert('7', 'warning', DAY), 2);
    zone.apply('ALERT', 'zone', alert('8', 'warning', DAY + 1), 2);
    zone.apply('ALERT_ACKNOWLEDGED', 'warehouse', { id: '8', by: 'Ben' }, 3); // of another room
    expect(seen()).toEqual(['8 –', '7 Anna']); // what nobody has seen to comes first
    zone.apply('SHIFT_SNAPSHOT', 'zone', { alerts: [alert('7', 'warning', DAY)] }, 4);
    expect(seen()).toEqual(['7 Anna']);
    zone.apply('ALERT', 'zone', alert('7', 'warning', DAY, DAY + 1), 5);
    zone.apply('ALERT', 'zone', alert('7', 'warning', DAY + 2), 6);
    zone.apply('ALERT_ACKNOWLEDGED', 'zone', 'nonsense', 7);
    expect(seen()).toEqual(['7 –']);
  });

  it('an alert that the server escalated comes before its likes, until someone sees to it', () => {
    const zone = new Zone();
    zone.apply('ALERT', 'zone', alert('old', 'warning', DAY), DAY);
    zone.apply('ALERT', 'zone', alert('late', 'warning', DAY + 1), DAY);
    zone.apply('ALERT_ESCALATED', 'zone', { id: 'late', at: DAY + 2 }, DAY);
    expect(zone.alerts.map(({ id, escalated }) => [id, escalated])).toEqual([['late', true], ['old', undefined]]);
    zone.apply('ALERT_ACKNOWLEDGED', 'zone', { id: 'late', by: 'Anna' }, DAY);
    expect(zone.alerts.map(({ id, escalated }) => [id, escalated])).toEqual([['old', undefined], ['late', undefined]]);
    zone.apply('ALERT', 'zone', { id: 'late', cleared: true }, DAY);
    zone.apply('ALERT', 'zone', alert('late', 'warning', DAY + 3), DAY);
    expect(zone.alerts.map(({ id, escalated }) => [id, escalated])).toEqual([['old', undefined], ['late', undefined]]);
  });
});
