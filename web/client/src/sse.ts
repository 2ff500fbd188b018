import { closedByServer } from './close.js';
import { dialHTTP } from './http.js';
import type { Transport, TransportHost } from './transport.js';

/** The longest event that is waited for, in characters. The server sends none that is near it. */
const MAX_EVENT_LENGTH = 2 ** 21;

/**
 * Server-Sent Events, for networks that let answers stream and nothing else. Read with fetch:
 * unlike EventSource it can send the token in a header, Node has it, and reconnecting stays in one
 * place.
 */
export const serverSentEvents: Transport = {
  name: 'sse',
  async dial(host) {
    // React Native: its fetch would answer with the whole stream, at its end.
    if (!globalThis.ReadableStream) throw Error('no global ReadableStream');
    return dialHTTP(host, '/sse', readStream);
  },
};

async function readStream({ body }: Response, { received, lost }: TransportHost): Promise<void> {
  const decoder = new TextDecoder();
  const reader = (body as ReadableStream<Uint8Array>).getReader();
  for (let text = ''; ; ) {
    const { value, done } = await reader.read();
    if (done) return lost('stream ended');
    text += decoder.decode(value, { stream: true });
    const events = text.split('\n\n');
    text = events.pop() as string;
    if (text.length > MAX_EVENT_LENGTH) throw Error('endless event');
    for (const event of events) {
      const lines = event.split('\n');
      // Several lines are one value (WHATWG HTML, section 9.2.6); JSON takes the space before it.
      const data = lines.map((line) => (line.startsWith('data:') ? line.slice(5) : '')).join('');
      if (lines.includes('event: close')) {
        const { code, reason } = JSON.parse(data);
        lost(...closedByServer(code, reason));
      } else if (data) received(data);
    }
  }
}
