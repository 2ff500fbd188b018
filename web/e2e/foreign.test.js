// What pages of other sites can do to a server on a developer's machine: nothing. Chromium is told that their names are
// this machine's, as DNS rebinding does (https://en.wikipedia.org/wiki/DNS_rebinding).
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { WebSocket } from 'ws';
import { openBrowser, openPage } from './browser.js';
import { Server } from './server.js';

const OPERATOR = { OPERATOR_PASSWORD: 'an-operators-password' };

let browser;
let site; // of strangers: a page for each path
const servers = [];
const sockets = [];

before(async () => {
  browser = await openBrowser([
    '--host-resolver-rules=MAP rebound.example 127.0.0.1, MAP evil.example 127.0.0.1',
    // Chromium's own defence, which other browsers don't have.
    '--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests,HttpsUpgrades',
  ]);
  site = createServer((_, answer) => answer.setHeader('Content-Type', 'text/html').end('<!doctype html><title>evil</title>'));
  site.listen(0, '127.0.0.1');
  await once(site, 'listening');
});

after(async () => {
  for (const socket of sockets) socket.terminate();
  await browser?.close();
  site?.close();
  for (const server of servers) await server.kill();
});

async function start(settings) {
  const server = await Server.start(undefined, settings);
  servers.push(server);
  return server;
}

/** A client in zone a of warehouse w: the events it got, and whether it was disconnected. */
async function witness(server) {
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/ws?warehouse=w&zone=a`);
  const seen = { events: [], closed: false };
  socket.on('error', () => {});
  socket.on('close', () => (seen.closed = true));
  socket.on('message', (text) => {
    const { event } = JSON.parse(text);
    if (event !== 'connected' && event !== 'heartbeat') seen.events.push(event);
  });
  sockets.push(socket);
  await once(socket, 'message');
  return seen;
}

/** Waits until it is so, for a while. */
async function until(holds) {
  for (const deadline = Date.now() + 15_000; !holds() && Date.now() < deadline; ) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** Publishes as a service does, and waits until the witness has that: what was sent before would have come too. */
async function assertUndisturbed(server, seen) {
  await server.publish('w', 'a', { event: 'HONEST', data: 1 });
  await until(() => seen.closed || seen.events.includes('HONEST'));
  assert.deepEqual([seen.closed, seen.events], [false, ['HONEST']]);
}

/** Tries from a page everything that it could do to the server at a base URL, and returns what became of it. */
function tryAll(page, base) {
  return page.evaluate(async (base) => {
    const ask = (path, options) => fetch(base + path, options).then((answer) => answer.status, () => 'failed');
    const opened = (source) =>
      new Promise((resolve) => {
        source.onopen = () => resolve('opened');
        source.onerror = () => resolve('failed');
      });
    const json = { 'Content-Type': 'application/json' };
    return {
      publish: await ask('/api/v1/warehouses/w/zones/a/broadcast', { method: 'POST', headers: json, body: '{"event":"EVIL"}' }),
      frame: await ask('/poll', { method: 'POST', headers: json, body: '{"event":"publish","data":{"warehouse":"w","zone":"a","event":"EVIL"}}' }),
      poll: await ask('/poll?warehouse=w&zone=a&wait=0'),
      connections: await ask('/api/v1/connections'),
      dashboard: await ask('/ui/'),
      sse: await opened(new EventSource(`${base}/sse?warehouse=w&zone=a`)),
      webSocket: await opened(new WebSocket(`${base.replace('http', 'ws')}/ws?warehouse=w&zone=a`)),
      disconnect: await ask('/api/v1/connections?warehouse=w', { method: 'DELETE' }), // last: it ends the witness
    };
  }, base);
}

/** Opens a page whose name was made to point at the server after it was loaded. */
async function rebound(server) {
  const base = `http://rebound.example:${new URL(server.url).port}`;
  const page = await openPage(browser, 'about:blank');
  await page.route(`${base}/page`, (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html>' }));
  await page.goto(`${base}/page`);
  return [page, base];
}

test('a page whose name was rebound to this machine can neither publish, nor read, nor disconnect', async () => {
  const server = await start();
  const seen = await witness(server);
  const [page, base] = await rebound(server);
  const got = await tryAll(page, base);
  const { sse, webSocket, ...statuses } = got;
  assert.deepEqual([sse, webSocket], ['failed', 'failed']);
  for (const [what, status] of Object.entries(statuses)) assert.equal(status, 421, what);
  await assertUndisturbed(server, seen);
  await page.context().close();
});

test('the same page could do all of it to a server that has its name in ALLOWED_HOSTS', async () => {
  const server = await start({ ALLOWED_HOSTS: 'rebound.example' });
  const seen = await witness(server);
  const [page, base] = await rebound(server);
  const { sse, webSocket, ...statuses } = await tryAll(page, base);
  assert.deepEqual([sse, webSocket], ['opened', 'opened']);
  for (const [what, status] of Object.entries(statuses)) assert.equal(status, 200, what);
  await until(() => seen.closed);
  assert.equal(seen.closed, true);
  assert.equal(seen.events.filter((event) => event === 'EVIL').length, 2);
  await page.context().close();
});

test('a page of another site can neither connect nor publish, with an operator logged in', async () => {
  const server = await start(OPERATOR);
  const seen = await witness(server);
  const page = await openPage(browser, 'about:blank', { httpCredentials: { username: 'operator', password: OPERATOR.OPERATOR_PASSWORD } });
  await page.goto(`${server.url}/ui/`); // logs in
  await page.goto(`http://evil.example:${site.address().port}/`);
  const { webSocket, sse, ...others } = await tryAll(page, server.url);
  assert.deepEqual([sse, webSocket], ['failed', 'failed']);
  for (const [what, status] of Object.entries(others)) assert.equal(status, 'failed', what); // the answer is withheld
  await assertUndisturbed(server, seen);
  await page.context().close();
});

test('a form of another site changes nothing, with an operator logged in', async () => {
  const server = await start(OPERATOR);
  const seen = await witness(server);
  const login = await openPage(browser, `${server.url}/ui/login`);
  await login.fill('[name=name]', 'operator');
  await login.fill('[name=password]', OPERATOR.OPERATOR_PASSWORD);
  await login.click('[type=submit]');
  await login.waitForURL(`${server.url}/ui/`);
  for (const path of ['/api/v1/warehouses/w/zones/a/broadcast', '/api/v1/revocations', '/poll', '/ui/']) {
    const page = await login.context().newPage();
    await page.goto(`http://evil.example:${site.address().port}/`);
    const answered = page.waitForResponse((answer) => answer.url().startsWith(server.url) && answer.request().method() === 'POST');
    await page.evaluate((action) => {
      const form = Object.assign(document.createElement('form'), { method: 'post', enctype: 'text/plain', action });
      // The body becomes JSON: {"event":"EVIL","user":"anna","x":"=","data":{…}}
      form.append(Object.assign(document.createElement('input'), { name: '{"event":"EVIL","user":"anna","x":"', value: '"}' }));
      document.body.append(form);
      form.submit();
    }, server.url + path);
    const answer = await answered;
    // The session's cookie does not come along, so it is a stranger's form.
    const toSignIn = answer.status() === 303 && answer.headers().location?.startsWith('/ui/login?');
    assert.ok(toSignIn || [403, 404, 405].includes(answer.status()), `${path} answers a form ${answer.status()}`);
  }
  const revocations = await fetch(`${server.url}/api/v1/revocations`, {
    headers: { Authorization: `Basic ${btoa(`operator:${OPERATOR.OPERATOR_PASSWORD}`)}` },
  });
  assert.equal((await revocations.text()).includes('anna'), false);
  await assertUndisturbed(server, seen);
  await login.context().close();
});
