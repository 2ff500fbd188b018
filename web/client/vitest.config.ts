import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** What the tests import: the sources, or with BUILT what the build makes of them. */
const source = (name: string) =>
  fileURLToPath(new URL(process.env['BUILT'] ? `dist/esm/${name}.js` : `src/${name}.ts`, import.meta.url));

export default defineConfig({
  resolve: { alias: { '@zonecast/client/react': source('react'), '@zonecast/client': source('index') } },
  test: {
    include: ['test/**/*.test.ts'],
    // The server of real-server.test.ts, which stops and starts again, is what takes longest.
    testTimeout: 30_000,
  },
});
