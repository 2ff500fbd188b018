// Runs what a handheld goes through in a day, and prints a table; fails when a message was lost, doubled or out of order.
import { fieldLengths, runAll } from './field.js';

const what = {
  offline: `offline for ${fieldLengths.offline / 1000} s`,
  sleep: `asleep for ${fieldLengths.sleep / 1000} s, with a token that lasts ${fieldLengths.tokenLife / 1000} s`,
  restart: `its instance away for ${fieldLengths.restart / 1000} s`,
  prefix: `below a path prefix, without a network for ${fieldLengths.prefix / 1000} s`,
};
const rows = await runAll(fieldLengths);
console.log('| run | transport | connected again after | heard in order and once |\n|---|---|---|---|');
for (const { run, transport, back, heard, published, inOrder } of rows)
  console.log(`| ${what[run]} | ${transport} | ${(back / 1000).toFixed(1)} s | ${inOrder ? '' : '**no:** '}${heard} of ${published} |`);
if (rows.some(({ inOrder }) => !inOrder)) process.exitCode = 1;
