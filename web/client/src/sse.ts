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
  dial: (host) => dialHTTP(host, '/sse', readStream),
};

async function readStream({ body }: Response, { received, lost }: TransportHost): Promise<void> {
  const decoder = new TextDecoder();
  const reader = (body as ReadableStream<Uint8Array>).getReader();
  for (let text = ''; ; ) {
    const { value, done } = await reader.read();
    if (done) return lost('ended its stream');
    text += decoder.decode(value, { stream: true });
    const events = text.split('\n\n');
    text = events.pop() as string;
    if (text.length > MAX_EVENT_LENGTH) throw Error('an event without end');
    for (const event of events) {
      const data = fieldOf(event, 'data');
      if (fieldOf(event, 'event') === 'close') {
        const { code, reason } = JSON.parse(data);
        lost(...closedByServer(code, reason));
      } else if (data) received(data);
    }
  }
}

/** The value of a field; several lines of it are one value (WHATWG HTML, section 9.2.6). */
function fieldOf(event: string, name: string): string {
  const lines = event.split('\n').filter((line) => line.startsWith(`${name}:`));
  return lines.map((line) => line.slice(name.length + 1).replace(/^ /, '')).join('\n');
}
