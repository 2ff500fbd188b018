// @vitest-environment happy-dom
import { expect, test, vi } from 'vitest';
import { createApp, createSSRApp, effectScope, h, nextTick, ref, type Ref } from 'vue';
import { renderToString } from 'vue/server-renderer';
import { createTestServer } from '@zonecast/client/testing';
import { useConnection, useZone, type ZoneRefs } from '@zonecast/client/vue';

const ROOM = 'zone:w:a';

/** A page that connects, and shows the zones whose ids are in `shown`. */
async function page(ids: string[]) {
  const server = createTestServer();
  const onError = vi.fn();
  const client = server.client({ backoffBase: 1, onError });
  const views: Record<string, ZoneRefs> = {};
  const heard: unknown[] = [];
  const shown = ref(ids);
  const zone = ref('a');
  const Zone = {
    props: ['id'],
    setup({ id }: { id: string }) {
      const view = useZone(client, 'w', zone, (data) => heard.push([id, data]));
      views[id] = view as ZoneRefs;
      return () => h('p', { id }, `${id} ${view.joined.value} ${JSON.stringify(view.latest.value)}`);
    },
  };
  const app = createApp({
    setup() {
      const state = useConnection(client);
      return () => [h('b', state.value.name), ...shown.value.map((id) => h(Zone, { id, key: id }))];
    },
  });
  const root = document.createElement('div');
  app.mount(root);
  const shows = (text: string) => vi.waitFor(() => expect(root.textContent).toBe(text));
  return { server, client, onError, views, heard, shown: shown as Ref<string[]>, zone, app, shows };
}

test('a component shows the state and the zone, and a second one starts with what the first has', async () => {
  const { server, shown, heard, shows, app } = await page(['1']);
  await shows('connected1 true {}');
  server.publish(ROOM, 'RATE', 7);
  await shows('connected1 true {"RATE":7}');
  const asked = vi.fn();
  server.refuse = asked;
  shown.value = ['1', '2'];
  await shows('connected1 true {"RATE":7}2 true {"RATE":7}');
  shown.value = ['3']; // takes the place of both
  await shows('connected3 true {"RATE":7}');
  await nextTick();
  expect(asked).not.toHaveBeenCalled();
  expect(heard).toEqual([['1', 7]]);
  app.unmount();
});

test('the last component leaves the room, and the one that connected disconnects', async () => {
  const { server, client, shown, shows, app } = await page(['1', '2']);
  await shows('connected1 true {}2 true {}');
  shown.value = [];
  await vi.waitFor(() => expect(client.rooms).toEqual([]));
  expect(client.state.name).toBe('connected');
  app.unmount();
  await vi.waitFor(() => expect(client.state.name).toBe('closed'));
  expect(server.connections).toBe(0);
});

test('a zone that is a ref is followed', async () => {
  const { server, client, zone, shows, app } = await page(['1']);
  server.publish('zone:w:b', 'RATE', 8, { retain: true });
  await shows('connected1 true {}');
  zone.value = 'b';
  await shows('connected1 true {"RATE":8}');
  await vi.waitFor(() => expect(client.rooms).toEqual(['zone:w:b']));
  app.unmount();
});

test('missed is cleared by reload(), and a refusal is an error', async () => {
  const { server, views, zone, shows, app } = await page(['1']);
  await shows('connected1 true {}');
  server.loseHistory(ROOM);
  expect(views['1']?.missed.value).toMatchObject({ room: ROOM });
  views['1']?.reload();
  await vi.waitFor(() => expect([views['1']?.missed.value, views['1']?.joined.value]).toEqual([undefined, true]));
  server.refuse = () => 'forbidden';
  zone.value = 'secret';
  await vi.waitFor(() => expect(views['1']?.error.value).toMatchObject({ code: 'forbidden' }));
  app.unmount();
});

test('in an effect scope without a component it works from the start to the end of the scope', async () => {
  const server = createTestServer();
  const client = server.client();
  const scope = effectScope();
  const state = scope.run(() => useConnection(client));
  await vi.waitFor(() => expect(state?.value.name).toBe('connected'));
  scope.stop();
  await vi.waitFor(() => expect(client.state.name).toBe('closed'));
});

test('rendering on the server shows the beginning, and connects nothing', async () => {
  const client = createTestServer().client();
  const App = {
    setup() {
      const [state, { joined }] = [useConnection(client), useZone(client, 'w', 'a')];
      return () => h('p', `${state.value.name} ${joined.value}`);
    },
  };
  expect(await renderToString(createSSRApp(App))).toBe('<p>idle false</p>');
  expect([client.state.name, client.rooms]).toEqual(['idle', []]);
});
