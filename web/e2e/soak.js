// Lets pages stand for as long as a wall does while shifts pass at 3600 times their speed and the link drops each minute,
// and prints what their heaps hold after the garbage was collected. Fails when one grows.
//
//     node soak.js 60     minutes; a page may grow by a tenth from the first third to the last
import { setTimeout as pause } from 'node:timers/promises';
import { openBrowser, openPage } from './browser.js';
import { Server } from './server.js';
import { Wire } from './wire.js';

const minutes = Number(process.argv[2] ?? 60);
const paths = ['/screen/warehouse-1/zone-a', '/screen/warehouse-1', '/ui/'];
const GROWTH = 1.1;

const server = await Server.start(undefined, { DEMO_SPEED: '3600', DEMO_SEED: '2' }, undefined, ['demo']);
const wire = await Wire.to(new URL(server.url).port);
const browser = await openBrowser();
try {
  const pages = await Promise.all(paths.map((path) => openPage(browser, wire.url + path)));
  const meters = await Promise.all(pages.map((page) => page.context().newCDPSession(page)));

  /** In bytes. */
  const heapOf = async (meter) => {
    await meter.send('HeapProfiler.collectGarbage');
    return (await meter.send('Runtime.getHeapUsage')).usedSize;
  };
  const heaps = paths.map(() => []);
  console.log(`| minute | ${paths.join(' | ')} |\n|---|${paths.map(() => '---|').join('')}`);
  for (let minute = 1; minute <= minutes; minute++) {
    await pause(50_000);
    await wire.goAway(5000);
    await pause(5000);
    const now = await Promise.all(meters.map(heapOf));
    now.forEach((bytes, i) => heaps[i].push(bytes));
    if (minute % Math.ceil(minutes / 12) === 0) console.log(`| ${minute} | ${now.map((bytes) => `${Math.round(bytes / 1024)} KiB`).join(' | ')} |`);
  }

  const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
  heaps.forEach((all, i) => {
    const third = Math.ceil(all.length / 3);
    const [first, last] = [median(all.slice(0, third)), median(all.slice(-third))];
    console.log(`${paths[i]}: ${(last / first).toFixed(2)} times the first third in the last`);
    if (last > first * GROWTH) process.exitCode = 1;
  });
} finally {
  await browser.close();
  await wire.remove();
  await server.kill();
}
