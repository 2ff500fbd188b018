// The runs of `make test-field`, each for seconds instead of minutes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runAll } from './field.js';

test('offline, asleep past the token, through a restart and below a prefix nothing is lost, over any transport', async () => {
  const rows = await runAll({ offline: 4000, sleep: 6000, tokenLife: 4000, restart: 3000, prefix: 3000 });
  assert.equal(rows.length, 12);
  for (const row of rows) assert.ok(row.inOrder && row.published > 5, JSON.stringify(row));
});
