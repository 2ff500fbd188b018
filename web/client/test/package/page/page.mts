// Type-checked against the built package, not run: what needs the types of a page.
import { createWebSocketClient, type State } from '@zonecast/client';
import { connectionStore, zoneStore } from '@zonecast/client/svelte';
import { useConnection, useZone } from '@zonecast/client/vue';

const ws = createWebSocketClient<{ PICK_DONE: { sku: string } }>({ url: 'http://localhost:3001' });
useConnection(ws).value.name satisfies string;
const { latest, joined, error } = useZone(ws, 'warehouse-1', () => 'zone-a', (data: unknown, meta) => meta.offset.length);
[latest.value.PICK_DONE?.sku.length, joined.value satisfies boolean, error.value?.code];

connectionStore(ws).subscribe((state: State) => state.name);
zoneStore(ws, 'warehouse-1', 'zone-a').subscribe(({ latest }) => latest.PICK_DONE?.sku.length);
