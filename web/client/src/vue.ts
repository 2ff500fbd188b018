/**
 * Zonecast in Vue: what a client is doing, and what a zone's room says, as refs of a component.
 *
 *     const client = createWebSocketClient({ … });     // one for the page, outside of components
 *     const state = useConnection(client);             // connects while the component is shown
 *     const { latest, missed, reload } = useZone(client, 'warehouse-1', () => props.zone);
 *
 * @packageDocumentation
 */
import {
  computed,
  type ComputedRef,
  getCurrentInstance,
  type MaybeRefOrGetter,
  onMounted,
  onScopeDispose,
  type ShallowRef,
  shallowRef,
  toValue,
  watch,
} from 'vue';
import type { ZonecastClient } from './client.js';
import type { WellKnownEvents } from './events.js';
import type { RoomState } from './room-handles.js';
import type { State } from './state.js';
import { EMPTY, handleOf, useClient, useRoom, type ZoneListener } from './used.js';

export type { ZoneListener } from './used.js';

/** What is known of a room, each as a ref. */
export interface ZoneRefs<Events = WellKnownEvents> {
  latest: ComputedRef<RoomState<Events>['latest']>;
  joined: ComputedRef<RoomState<Events>['joined']>;
  missed: ComputedRef<RoomState<Events>['missed']>;
  error: ComputedRef<RoomState<Events>['error']>;
  /** Fetches fresh state: retained events come again, and `missed` and `error` are gone. */
  reload(): void;
}

/** The client's state. The client is connected as long as a component with this is shown. */
export function useConnection<Events>(client: ZonecastClient<Events>): Readonly<ShallowRef<State>> {
  const state = shallowRef(client.state);
  const update = () => {
    state.value = client.state;
  };
  whileShown(() => {
    const stops = [client.onState(update), useClient(client)];
    update();
    return () => stops.forEach((stop) => stop());
  });
  return state;
}

/**
 * The room of a zone, or without a zone that of the warehouse; refs and getters are followed. It is
 * joined while a component shows it, as soon as the client is connected, and left with the last of
 * them, unless it was joined without them. `listener` hears each event.
 */
export function useZone<Events>(
  client: ZonecastClient<Events>,
  warehouse: MaybeRefOrGetter<string>,
  zone?: MaybeRefOrGetter<string | undefined>,
  listener?: ZoneListener,
): ZoneRefs<Events> {
  const state = shallowRef<RoomState<Events>>(EMPTY);
  const room = () => [toValue(warehouse), toValue(zone)] as const;
  const update = () => {
    state.value = handleOf(client, ...room())?.state ?? EMPTY;
  };
  whileShown(() =>
    watch(
      [() => toValue(warehouse), () => toValue(zone)],
      ([warehouse, zone], _, onCleanup) => {
        onCleanup(useRoom(client, warehouse, zone, update, listener));
        update();
      },
      { immediate: true },
    ),
  );
  return {
    latest: computed(() => state.value.latest),
    joined: computed(() => state.value.joined),
    missed: computed(() => state.value.missed),
    error: computed(() => state.value.error),
    reload: () => void handleOf(client, ...room())?.reload().catch(() => {}), // `error` has it
  };
}

/** Runs something from the moment a component is shown, which a server never does, to its end. */
function whileShown(start: () => () => void) {
  let stop = () => {};
  const begin = () => {
    stop = start();
  };
  if (getCurrentInstance()) onMounted(begin);
  else begin();
  onScopeDispose(() => stop());
}
