// Builds assets/dist, which is committed and embedded into the server:
//
//   dashboard/*.ts, screen/*.ts (with client/src) ─ esbuild ─▶ dashboard.js, cursor.js, screen.js, wall.js, pair.js, worker.js, zones.js
//   client/src/iife.ts ─────────────────────────── esbuild ─▶ zonecast.js, the client for pages without a bundler
//   dashboard/*.css, screen/*.css ───────────────── esbuild ─▶ dashboard.css, screen.css, wall.css, pair.css
//   htmx.org with its extension hx-sse ──────────── joined ──▶ htmx.js
//   the font, assets/mark.svg, licences ─────────── copied ──▶ plex-*.woff2, mark.svg, *-license.txt
//
// With --check it builds into memory, compares, and fails when what is committed is not what the sources give.
import { readdir, readFile, rm, writeFile, mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, 'assets', 'dist');
const require = createRequire(import.meta.url);

/** The folder of an installed package. */
const packageOf = (name) => dirname(require.resolve(`${name}/package.json`));

async function bundle(entryPoints, globalName) {
  const { outputFiles } = await build({
    absWorkingDir: here,
    entryPoints,
    globalName,
    outdir: 'out',
    bundle: true,
    minify: true,
    write: false,
    format: 'iife',
    target: 'es2022',
    charset: 'utf8',
    legalComments: 'none',
    // Fonts lie beside the style sheets; the server puts their hashed names in.
    external: ['*.woff2'],
    alias: { '@zonecast/client': './client/src/index.ts' },
  });
  return outputFiles.map(({ path, contents }) => [path.split('/').at(-1).replace('-style', ''), Buffer.from(contents)]);
}

async function bundles() {
  const pages = {
    dashboard: 'dashboard/live.ts',
    cursor: 'dashboard/cursor.ts',
    screen: 'screen/screen.ts',
    zones: 'screen/zones.ts',
    wall: 'screen/wall.ts',
    pair: 'screen/pair.ts',
    worker: 'screen/worker.ts',
    'dashboard-style': 'dashboard/dashboard.css',
    'screen-style': 'screen/screen.css',
    'wall-style': 'screen/wall.css',
    'pair-style': 'screen/pair.css',
  };
  return [...(await bundle(pages)), ...(await bundle({ zonecast: 'client/src/iife.ts' }, 'Zonecast'))];
}

async function copies() {
  const plex = join(packageOf('@fontsource-variable/ibm-plex-sans'));
  const sources = {
    'plex-latin.woff2': join(plex, 'files', 'ibm-plex-sans-latin-wght-normal.woff2'),
    'plex-latin-ext.woff2': join(plex, 'files', 'ibm-plex-sans-latin-ext-wght-normal.woff2'),
    'plex-license.txt': join(plex, 'LICENSE'),
    'htmx-license.txt': join(packageOf('htmx.org'), 'LICENSE'),
    'mark.svg': join(here, 'assets', 'mark.svg'),
    'mark-degraded.svg': join(here, 'assets', 'mark-degraded.svg'),
    'mark-down.svg': join(here, 'assets', 'mark-down.svg'),
    'mark-alarm.svg': join(here, 'assets', 'mark-alarm.svg'),
  };
  return Promise.all(Object.entries(sources).map(async ([name, from]) => [name, await readFile(from)]));
}

/**
 * In one file, since htmx begins as soon as it is idle: an extension that arrives later than that is never asked, and the
 * page's event stream would not open.
 */
async function htmx() {
  const dist = join(packageOf('htmx.org'), 'dist');
  const parts = [join(dist, 'htmx.min.js'), join(dist, 'ext', 'hx-sse.min.js')];
  const texts = await Promise.all(parts.map(async (path) => withoutMap(await readFile(path)).toString().trimEnd()));
  return [['htmx.js', Buffer.from(`${texts.join(';\n')}\n`)]];
}

/** Without the maps, which would be asked for only to answer 404. */
const withoutMap = (content) => Buffer.from(content.toString().replace(/\n?\/\/# sourceMappingURL=\S+\s*$/, '\n'));

async function outputs() {
  const all = [...(await bundles()), ...(await htmx()), ...(await copies())];
  return new Map(all.map(([name, content]) => [name, name.endsWith('.js') ? withoutMap(content) : content]));
}

async function check(files) {
  const present = await readdir(dist).catch(() => []);
  const wrong = present.filter((name) => !files.has(name)).map((name) => `${name} is not built from anything any more`);
  for (const [name, content] of files) {
    const committed = await readFile(join(dist, name)).catch(() => undefined);
    if (!committed) wrong.push(`${name} is missing`);
    else if (!committed.equals(content)) wrong.push(`${name} is older than its sources`);
  }
  if (wrong.length === 0) return;
  console.error(`assets/dist is stale:\n  ${wrong.join('\n  ')}\nRun "npm run build" in web and commit the result.`);
  process.exitCode = 1;
}

async function replace(files) {
  await rm(dist, { recursive: true, force: true });
  await mkdir(dist, { recursive: true });
  for (const [name, content] of files) await writeFile(join(dist, name), content);
}

const files = await outputs();
await (process.argv.includes('--check') ? check(files) : replace(files));
