import { closedByServer } from './close.js';
import type { Transport } from './transport.js';

/** The characters of a token of RFC 9110, section 5.6.2, which a subprotocol must be. */
const SUBPROTOCOL = /^[\w!#$%&'*+.^`|~-]+$/;

/** How long after its error a socket may say how it ended, in milliseconds. Some never do. */
const ERROR_GRACE = 100;

/** The transport that costs least, both ways over one connection. */
export const webSocket: Transport = {
  name: 'websocket',

  async dial({ WebSocket, url, token: currentToken, received, lost, pause }) {
    if (!WebSocket) throw Error('no global WebSocket: pass the option WebSocket');
    const token = await currentToken();
    let address = url('/ws', { subscribesByFrame: true }).replace(/^http/, 'ws');
    let protocols: string[] | undefined;
    // Addresses end up in logs on the way, so the token goes among the subprotocols if it can.
    if (token && SUBPROTOCOL.test(token)) protocols = ['zonecast', token];
    else if (token) address += `&${new URLSearchParams({ token })}`;

    const socket = new WebSocket(address, protocols);
    let cause: unknown;
    socket.onmessage = (event: { data: unknown }) => received(event.data);
    socket.onerror = (event?: { error?: unknown; message?: unknown }) => {
      cause = event?.error ?? event?.message;
      void pause(ERROR_GRACE).then(() => lost('failed', { cause }));
    };
    socket.onclose = ({ code, reason }: { code: number; reason: string }) =>
      lost(...closedByServer(code, reason, cause));

    const close = () => socket.close(1000);
    return {
      send: (text) => socket.send(text),
      close,
      abort: () => (socket.terminate ? socket.terminate() : close()),
    };
  },
};
