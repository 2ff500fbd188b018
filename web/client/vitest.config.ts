import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** Tests import the package by its name, and get its sources. */
const source = (name: string) => fileURLToPath(new URL(`src/${name}.ts`, import.meta.url));

export default defineConfig({
  resolve: { alias: { '@zonecast/client/react': source('react'), '@zonecast/client/rooms': source('rooms'), '@zonecast/client/tabs': source('tabs'), '@zonecast/client/testing': source('testing'), '@zonecast/client': source('index') } },
  test: {
    include: ['test/**/*.test.{ts,tsx}'],
    // Some take seconds on a quiet machine, and many times as long on a busy one.
    testTimeout: 120_000,
  },
});
