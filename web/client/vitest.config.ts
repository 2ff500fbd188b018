import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: { alias: { '@zonecast/client': fileURLToPath(new URL('src/index.ts', import.meta.url)) } },
  test: {
    include: ['test/**/*.test.ts'],
    // The server of real-server.test.ts, which stops and starts again, is what takes longest.
    testTimeout: 30_000,
  },
});
