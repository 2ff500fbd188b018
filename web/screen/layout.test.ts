import { describe, expect, it } from 'vitest';
import { readLayout, viewAt, zonesIn } from './layout.js';

const main = (...views: unknown[]) => ({ walls: { main: views } });
const tile = (tile: unknown) => main({ tiles: [tile] });

describe('readLayout', () => {
  it('reads what it documents', () => {
    const views = [{ seconds: 30, tiles: [{ kind: 'zones' }, { kind: 'zone', zone: 'a' }, { kind: 'list', title: 'Trucks', event: 'DOCKS', field: 'trucks' },
      { kind: 'number', title: 'Cold', unit: '°C', zone: 'c', field: 'temperature', least: -25, most: -18 }] }];
    expect(readLayout({ walls: { main: views } }, 'main')).toEqual({ views });
  });

  it.each([
    [[], 'layout: write an object, {…}'],
    [{}, 'walls: write an object, {…}'],
    [{ walls: {}, wall: 1 }, 'wall: there is no such field'],
    [{ walls: { dock: [{ tiles: [{ kind: 'zones' }] }] } }, 'walls: there is no "main", there is "dock"'],
    [main(), 'walls.main: write a list with at least one element, […]'],
    [main({ tiles: [] }), 'walls.main[0].tiles: write a list with at least one element, […]'],
    [main({ tiles: Array(7).fill({ kind: 'zones' }) }), 'walls.main[0].tiles: there are 7, the most is 6'],
    [main({ seconds: 1, tiles: [{ kind: 'zones' }] }), 'walls.main[0].seconds: write a number from 5 to 3600'],
    [main({ tiles: [{ kind: 'zones' }] }, 7), 'walls.main[1]: write an object, {…}'],
    [tile({ kind: 'weather' }), 'walls.main[0].tiles[0].kind: write "zones", "zone", "number", "list" or "history"'],
    [tile({ kind: 'zone', zone: 'a b' }), 'walls.main[0].tiles[0].zone: write the name of a zone'],
    [tile({ kind: 'zone', zone: 'a', colour: 'red' }), 'walls.main[0].tiles[0].colour: there is no such field'],
    [tile({ kind: 'number', title: 'x', field: 'f', most: '1' }), 'walls.main[0].tiles[0].most: write a number'],
    [tile({ kind: 'list', title: '', field: 'f' }), 'walls.main[0].tiles[0].title: write a text of 1 to 64 characters'],
  ])('%j is none, and it says where', (give, mistake) => {
    expect(readLayout(give, 'main')).toEqual({ mistake });
  });
});

it('views take turns, and displays that show the same wall show the same view', () => {
  const views = [{ seconds: 10, tiles: [] }, { seconds: 20, tiles: [] }];
  expect([0, 9_999, 10_000, 29_999, 30_000, 3_600_010_000].map((now) => viewAt(views, now))).toEqual([0, 0, 1, 1, 0, 1]);
});

it('a wall needs the zones of its tiles', () => {
  const views = [{ seconds: 5, tiles: [{ kind: 'zone', zone: 'a' }, { kind: 'zone', zone: 'a' }, { kind: 'list', title: 't', field: 'f', zone: 'b' }] }] as const;
  expect(zonesIn(views as never)).toEqual({ names: ['a', 'b'], all: false });
  expect(zonesIn([{ seconds: 5, tiles: [{ kind: 'zones' }] }])).toEqual({ names: [], all: true });
});
