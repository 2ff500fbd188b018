// A zone in React: the page shows two of them over one connection, and joins and leaves rooms as they come and go.
import { createWebSocketClient } from '@zonecast/client';
import { useConnectionState, useZone } from '@zonecast/client/react';
import { StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';

const query = new URLSearchParams(location.search);
const client = createWebSocketClient({ url: query.get('server') ?? location.origin });
client.connect();

function Connection() {
  const state = useConnectionState(client);
  return <p id="state">{state.name === 'connected' ? `connected by ${state.transport}` : state.name}</p>;
}

function Zone({ zone }) {
  const { latest, joined, missed, error } = useZone(client, 'warehouse-1', zone);
  if (error) return <p id={zone}>{error.message}</p>;
  return (
    <p id={zone} data-joined={joined} data-missed={missed !== undefined}>
      {zone}: {latest.ZONE_UPDATE?.pickRate ?? latest.SHIFT_SNAPSHOT?.pickRate ?? '–'} units per hour
    </p>
  );
}

function App() {
  const [zones, setZones] = useState(['zone-a', 'zone-b']);
  return (
    <>
      <Connection />
      {zones.map((zone) => (
        <Zone key={zone} zone={zone} />
      ))}
      <button onClick={() => setZones(zones.slice(0, -1))}>One less</button>
    </>
  );
}

createRoot(document.getElementById('root')).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
globalThis.client = client; // for the console
