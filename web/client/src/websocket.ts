import { closed } from './close.js';
import type { Transport } from './transport.js';

/** The transport that costs least, both ways over one connection. */
export const webSocket: Transport = {
  name: 'websocket',

  async dial({ Socket, address, credential, frame, lost }) {
    if (!Socket) throw Error('no global WebSocket: pass the option WebSocket, like that of ws');
    const token = await credential();
    let url = address('/ws').replace('http', 'ws');
    let protocols: string[] | undefined;
    // Addresses end up in logs on the way, so the token goes among the subprotocols where its characters allow that: those
    // of a token of RFC 9110, section 5.6.2.
    if (token && /^[\w!#$%&'*+.^`|~-]+$/.test(token)) protocols = ['zonecast', token];
    else if (token) url += `&${new URLSearchParams({ token })}`;

    const socket = new Socket(url, protocols);
    let cause: unknown;
    socket.onmessage = (event: { data: unknown }) => frame(event.data);
    socket.onerror = (event?: { error?: unknown; message?: unknown }) => {
      cause = event?.error ?? event?.message;
    };
    socket.onclose = ({ code, reason }: { code: number; reason: string }) => lost(...closed(code, reason, cause));
    return {
      write: (text) => socket.send(text),
      hangUp(hard) {
        // The package ws throws an error event that has no listener: it keeps the one above.
        socket.onmessage = socket.onclose = null;
        if (hard && socket.terminate) socket.terminate();
        else socket.close(1000);
      },
    };
  },
};
