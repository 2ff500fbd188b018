import { CloseCode } from './close.js';
import { decodeFrame, type ServerFrame } from './frame.js';
import type { OpenTransport, TransportHost } from './transport.js';

/**
 * The least time between the starts of two GET requests, in milliseconds, whatever answers. What
 * comes meanwhile arrives together.
 */
const MIN_INTERVAL = 50;

/**
 * Asks for an answer at once: the first answer tells whether anything gets through, so it must not
 * wait for a message.
 */
const WITHOUT_WAIT = 'wait=0';

/**
 * Dials a transport that reads with GET requests for `path`, one after the other, and sends with
 * POST:
 *
 *     GET path?rooms&cursor ─▶ read(response) ─▶ host ─▶ GET, from where the client is now …
 *     POST path, one frame  ─▶ its answer ─────▶ host
 *
 * `read` takes frames out of a response until it ends.
 */
export async function dialHTTP(
  host: TransportHost,
  path: string,
  read: (response: Response, host: TransportHost) => Promise<void>,
): Promise<OpenTransport> {
  const posts = new AbortController();
  let reading = posts;

  const fetchPath = async ({ signal }: AbortController, extra: string, body?: string) => {
    const token = await host.token();
    return fetch(host.url(path, { extra, subscribesByFrame: false }), {
      signal,
      cache: 'no-store',
      headers: {
        ...(token && { Authorization: `Bearer ${token}` }),
        ...(body && { 'Content-Type': 'application/json' }),
      },
      ...(body && { method: 'POST', body }),
    });
  };

  const readAll = async () => {
    for (let extra = WITHOUT_WAIT; ; ) {
      reading = new AbortController();
      const { signal } = reading;
      const next = performance.now() + MIN_INTERVAL;
      try {
        const response = await fetchPath(reading, extra);
        extra = '';
        if (response.ok) await read(response, host);
        else host.refused(`answered ${response.status}`, await problemOf(response));
      } catch (cause) {
        extra = WITHOUT_WAIT;
        if (!signal.aborted) host.lost(`can't be read: ${cause}`, { cause });
      }
      // By then all that came has moved the offsets, which the next query names. Once the
      // connection is over, the pause never ends.
      await host.pause(next - performance.now());
    }
  };
  void readAll();

  const abort = () => {
    posts.abort();
    reading.abort();
  };
  return {
    async send(text, id) {
      let answer: ServerFrame;
      try {
        answer = decodeFrame(await (await fetchPath(posts, '', text)).text());
      } catch (cause) {
        // A proxy answered, or nobody.
        answer = { event: 'error', id, data: { code: 'connection_lost', message: `POST ${path}: ${cause}` } };
      }
      host.received(answer);
    },
    repeatRequest: () => reading.abort(),
    close: abort,
    abort,
  };
}

/**
 * Why the server refused a request: problem+json (RFC 9457) with an error code, and Retry-After.
 */
async function problemOf(response: Response) {
  const { code, detail } = await response.json().catch(() => ({}));
  return {
    // A proxy that refuses has no code of ours, and is no reason to give up.
    closeCode: CloseCode[code as keyof typeof CloseCode],
    cause: detail,
    retryAfter: 1000 * Number(response.headers.get('Retry-After')),
  };
}
