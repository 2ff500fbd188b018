import { closed } from './close.js';
import { dialHTTP } from './http.js';
import type { Line, Transport } from './transport.js';

/** The longest event that is waited for, in characters. The server sends none that is near it. */
const LONGEST = 2 ** 21;

/**
 * Server-Sent Events, for networks that let answers stream and nothing else. Read with fetch: unlike EventSource it can send
 * the token in a header, Node has it, and reconnecting stays in one hand.
 */
export const serverSentEvents: Transport = { name: 'sse', dial: (line) => dialHTTP(line, '/sse', read) };

async function read({ body }: Response, { frame, lost }: Line): Promise<void> {
  const decoder = new TextDecoder();
  const reader = (body as ReadableStream<Uint8Array>).getReader();
  for (let text = ''; ; ) {
    const { value, done } = await reader.read();
    if (done) return lost('ended its stream');
    text += decoder.decode(value, { stream: true });
    const events = text.split('\n\n');
    text = events.pop() as string;
    if (text.length > LONGEST) throw Error('an event without end');
    for (const event of events) {
      // Data of several lines is several fields.
      const data = event.split('\n').flatMap((row) => (row.startsWith('data:') ? row.slice(5) : []));
      if (/(^|\n)event: ?close/.test(event)) {
        const { code, reason } = JSON.parse(data.join('\n'));
        lost(...closed(code, reason));
      } else if (data[0]) frame(data.join('\n'));
    }
  }
}
