// @vitest-environment happy-dom
import { StrictMode, act, createElement, useEffect } from 'react';
import { createRoot } from 'react-dom/client';
import { renderToString } from 'react-dom/server';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { useConnection, useConnectionState, useZone, type ZoneView } from '@zonecast/client/react';
import { fakeClient, fakeTime, settle } from './fake-socket.js';

fakeTime({ beforeEach, afterEach });
beforeEach(() => vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true));
afterEach(() => vi.unstubAllGlobals());

const ROOM = 'zone:w:z';
const snapshot = { event: 'SHIFT_SNAPSHOT', room: ROOM, offset: 'e-15', time: 0, retained: true, data: { unitsDone: 1 } };

/** Shows elements, in StrictMode, and what the first rendering of each zone had. */
function page() {
  const fake = fakeClient();
  const root = createRoot(document.createElement('div'));
  const views: Record<string, ZoneView[]> = {};
  const heard: unknown[] = [];
  function Zone({ id, room = 'z' }: { id: string; room?: string }) {
    const view = useZone(fake.client, 'w', room, (data) => heard.push([id, data]));
    (views[id] ??= []).push(view);
    return null;
  }
  function App({ ids }: { ids: string[] }) {
    useConnection(fake.client);
    return ids.map((id) => <Zone key={id} id={id} />);
  }
  const show = (...ids: string[]) => act(async () => root.render(<StrictMode><App ids={ids} /></StrictMode>));
  const unmount = () => act(async () => root.unmount());
  const says = (run: () => void) =>
    act(async () => {
      run();
      await settle();
    });
  /** Connected, in the zone, with its snapshot. */
  const joined = async () => {
    await show('first');
    await says(() => fake.socket().saysConnected());
    await says(() => fake.socket().acks('subscribe', { room: ROOM, offset: 'e-17' }));
    await says(() => fake.socket().says(snapshot));
  };
  return { ...fake, views, heard, show, unmount, says, joined };
}

test('StrictMode: one connection, one subscription, no error', async () => {
  const { sockets, socket, views, joined, onError } = page();
  await joined();
  expect(sockets).toHaveLength(1);
  expect(socket().sent.map(({ event }) => event)).toEqual(['subscribe']);
  expect(views['first']?.at(-1)).toMatchObject({ joined: true, latest: { SHIFT_SNAPSHOT: { unitsDone: 1 } } });
  expect(views['first']?.every(({ error }) => error === undefined)).toBe(true);
  expect(onError).not.toHaveBeenCalled();
});

test('a second component of a room starts with what the first has', async () => {
  const { socket, views, heard, show, says, joined } = page();
  await joined();
  await says(() => socket().publishes(ROOM, 'e-18', 'ALERT', { id: 'a' }));
  await show('first', 'second');
  const latest = { SHIFT_SNAPSHOT: { unitsDone: 1 }, ALERT: { id: 'a' } };
  expect(views['second']?.[0]).toMatchObject({ joined: true, latest });
  expect(heard).toContainEqual(['second', { unitsDone: 1 }]);
  expect(socket().sent).toHaveLength(1);
});

test('the last component leaves the room, and the hook that connected disconnects', async () => {
  const { client, socket, show, unmount, joined } = page();
  await joined();
  await show('first', 'second');
  await show('second');
  expect(client.rooms).toEqual([ROOM]);
  await show();
  expect(client.rooms).toEqual([]);
  expect(socket().last('unsubscribe').data).toEqual({ warehouse: 'w', zone: 'z' });
  expect(client.state.name).toBe('connected');
  await unmount();
  expect(client.state.name).toBe('closed');
});

test('a component that takes the place of another does not leave the room between', async () => {
  const { socket, views, show, joined } = page();
  await joined();
  await show('other');
  expect(views['other']?.[0]).toMatchObject({ joined: true, latest: { SHIFT_SNAPSHOT: { unitsDone: 1 } } });
  expect(socket().sent).toHaveLength(1);
});

test('missed is cleared by reload(), which brings fresh state', async () => {
  const { socket, views, says, joined } = page();
  await joined();
  await says(() => socket().says({ event: 'gap', data: { room: ROOM, from: 'e-17', to: 'e-20' } }));
  const view = views['first']?.at(-1);
  expect(view?.missed).toEqual({ room: ROOM, from: 'e-17', to: 'e-20' });
  await says(() => view?.reload());
  await says(() => socket().acks('unsubscribe'));
  await says(() => socket().acks('subscribe', { room: ROOM, offset: 'e-20' }));
  await says(() => socket().says({ ...snapshot, offset: 'e-19', data: { unitsDone: 9 } }));
  expect(views['first']?.at(-1)).toMatchObject({ joined: true, missed: undefined, latest: { SHIFT_SNAPSHOT: { unitsDone: 9 } } });
});

test('a room that is refused is an error in the view', async () => {
  const { socket, views, show, says } = page();
  await show('first');
  await says(() => socket().saysConnected());
  await says(() => socket().refuses('subscribe', 'forbidden'));
  expect(views['first']?.at(-1)).toMatchObject({ joined: false, error: { code: 'forbidden' } });
});

test('rendering on the server shows the beginning, and connects nothing', () => {
  const { client, sockets } = fakeClient();
  function App() {
    useConnection(client);
    const { name } = useConnectionState(client);
    const { joined, latest } = useZone(client, 'w', 'z');
    useEffect(() => {
      throw Error('no effect runs on the server');
    });
    return createElement('p', null, `${name} ${joined} ${Object.keys(latest)}`);
  }
  expect(renderToString(<App />)).toBe('<p>idle false </p>');
  expect(sockets).toHaveLength(0);
});
