// Builds the package for whoever installs this folder, after what builds it was installed, if it is not there yet.
import { execSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
if (!existsSync('node_modules/esbuild')) execSync('npm ci --ignore-scripts --no-audit --no-fund', { stdio: 'inherit' });
await import('./build.mjs');
