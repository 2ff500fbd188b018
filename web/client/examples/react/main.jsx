// A zone in React: the page shows two of them over one connection, and joins and leaves rooms as they come and go.
import { createWebSocketClient } from '@zonecast/client';
import { useConnection, useZone } from '@zonecast/client/react';
import { StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';

const query = new URLSearchParams(location.search);
const client = createWebSocketClient({ url: query.get('server') ?? location.origin });

function Connection() {
  const state = useConnection(client); // connects, and disconnects when the page goes
  return <p id="state">{state.name === 'connected' ? `connected by ${state.transport}` : state.name}</p>;
}

function Zone({ zone }) {
  const { latest, joined, missed, error, reload } = useZone(client, 'warehouse-1', zone);
  if (error) return <p id={zone}>{error.message}</p>;
  return (
    <p id={zone} data-joined={joined} data-missed={missed !== undefined}>
      {missed && <button onClick={reload}>Something is missing: fetch fresh state</button>}
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
