import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** Tests import the package by its name, and get its sources. */
const source = (name: string) => fileURLToPath(new URL(`src/${name}.ts`, import.meta.url));

export default defineConfig({
  resolve: { alias: [{ find: /^@zonecast\/client$/, replacement: source('index') }, { find: /^@zonecast\/client\/(.+)$/, replacement: source('$1') }] },
  test: {
    // They wait more than they compute, so more files run at once than there are cores.
    maxWorkers: 4,
    include: ['test/**/*.test.{ts,tsx}'],
    // Some take seconds on a quiet machine, and many times as long on a busy one.
    testTimeout: 120_000,
  },
});
