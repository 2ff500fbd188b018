import { CloseCode } from './close.js';
import { serverError } from './errors.js';
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
  let extra = WITHOUT_WAIT;

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

  /** What the answer says, unless it is none of ours. */
  const bodyOf = (response: Response): Promise<Record<string, unknown>> =>
    response.text().then(host.parse as () => {}).catch(() => ({}));

  const readAll = async () => {
    for (;;) {
      reading = new AbortController();
      const { signal } = reading;
      const next = performance.now() + MIN_INTERVAL;
      try {
        const query = extra;
        extra = '';
        const response = await fetchPath(reading, query);
        if (response.ok) await read(response, host);
        else host.refused(`answered ${response.status}`, problemOf(response, await bodyOf(response)));
      } catch (cause) {
        if (!signal.aborted) host.lost('not read', { cause });
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
      let data: unknown;
      try {
        const response = await fetchPath(posts, '', text);
        const { status } = response;
        const body = await bodyOf(response);
        if (body.event) return host.received(body, true);
        data = problemOf(response, body).cause ?? {
          code: status === 413 ? 'too_large' : 'connection_lost', // a proxy has limits too
          message: `answered ${status}`,
        };
      } catch (cause) {
        data = { code: 'connection_lost', message: cause };
      }
      host.received({ event: 'error', id, data }, true);
    },
    repeat() {
      extra = WITHOUT_WAIT;
      reading.abort();
    },
    close: abort,
    abort,
  };
}

/**
 * Why the server refused a request: problem+json (RFC 9457) with an error code, and Retry-After. A
 * proxy that refuses has no code of ours, and is no reason to give up.
 */
function problemOf(response: Response, { code, detail }: { code?: unknown; detail?: unknown }) {
  const retryAfter = 1000 * Number(response.headers.get('Retry-After'));
  const cause = code ? serverError({ code, message: detail, retryAfter }) : undefined;
  return { closeCode: CloseCode[code as keyof typeof CloseCode], cause, retryAfter };
}
