import { expect, it } from 'vitest';
import { Warehouse } from './warehouse.js';

it('tiles have the latest of what was published, of each room and event', () => {
  const warehouse = new Warehouse();
  const free = () => warehouse.value({ event: 'DOCKS', field: 'free' });
  const temperature = () => warehouse.value({ zone: 'c', field: 'temperature' });
  expect([free(), temperature()]).toEqual([undefined, undefined]);
  warehouse.apply('DOCKS', undefined, { free: 3 }, 1);
  warehouse.apply('SHIFT_SNAPSHOT', 'c', { temperature: -18 }, 1);
  expect([free(), temperature()]).toEqual([3, -18]);
  warehouse.apply('ZONE_UPDATE', 'c', { workers: 2 }, 2);
  expect(temperature()).toBe(-18);
  warehouse.apply('ZONE_UPDATE', 'c', { temperature: -17 }, 3);
  expect(temperature()).toBe(-17);
  warehouse.apply('SHIFT_SNAPSHOT', 'c', {}, 4);
  expect(temperature()).toBe(undefined);
  expect(warehouse.value({ event: 'DOCKS', field: 'constructor' })).toBe(undefined);
  for (let i = 0; i < 100; i++) warehouse.apply(`E${i}`, undefined, { free: i }, 5);
  expect(free()).toBe(undefined);
});

it('alerts are those of all zones and of the building, with the zone that they are of', () => {
  const warehouse = new Warehouse();
  warehouse.apply('SHIFT_SNAPSHOT', 'a', { name: 'Ambient', alerts: [{ id: 'jam', severity: 'critical' }] }, 1);
  warehouse.apply('ALERT', 'b', { id: 'jam', severity: 'info' }, 1);
  warehouse.apply('ALERT', undefined, { id: 'gate' }, 1);
  expect(warehouse.alerts.map(({ id, zone, where, scope }) => [id, zone, where, scope])).toEqual([
    ['jam', 'a', 'Ambient', 'zone'], ['gate', undefined, undefined, 'warehouse'], ['jam', 'b', 'b', 'zone']]);
  warehouse.gap('b');
  expect([...warehouse.doubtful]).toEqual(['zone']);
  warehouse.forget('b');
  expect(warehouse.doubtful.size).toBe(0);
});
