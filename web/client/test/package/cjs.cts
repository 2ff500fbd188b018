// Type-checked against the built package, not run.
import zonecast = require('@zonecast/client');
import ws = require('ws');

const client = zonecast.createWebSocketClient({ url: 'http://localhost:3001', WebSocket: ws.WebSocket });
client.on('ZONE_UPDATE', (data) => data.unitsDone.toFixed());
