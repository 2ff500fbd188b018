import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** Tests import the package by its name, and get its sources. */
const source = (name: string) => fileURLToPath(new URL(`src/${name}.ts`, import.meta.url));

export default defineConfig({
  resolve: { alias: { '@zonecast/client/react': source('react'), '@zonecast/client': source('index') } },
  test: {
    include: ['test/**/*.test.ts'],
    // The server of real-server.test.ts, which stops and starts again, is what takes longest.
    testTimeout: 30_000,
  },
});
