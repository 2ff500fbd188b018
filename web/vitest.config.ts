import { defineConfig } from 'vitest/config';

// The client has tests of its own, and e2e needs a server and a browser.
export default defineConfig({ test: { include: ['dashboard/*.test.ts', 'screen/*.test.ts'] } });
