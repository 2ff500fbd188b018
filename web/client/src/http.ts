import { CloseCode } from './close.js';
import { decodeFrame, type ServerFrame } from './frame.js';
import type { Line, Link } from './transport.js';

/** At most so often is asked, whatever answers, in milliseconds. What comes meanwhile arrives together. */
const PACE = 50;

/**
 * Dials a transport that reads with GET requests for `path`, one after the other, and sends with POST:
 *
 *     GET path?rooms&cursor ─▶ read(answer) ─▶ line ─▶ GET, from where the client is now …
 *     POST path, one frame  ─▶ its answer ───▶ line
 *
 * `read` takes frames out of an answer until it ends.
 */
export async function dialHTTP(line: Line, path: string, read: (answer: Response, line: Line) => Promise<void>): Promise<Link> {
  const posts = new AbortController();
  let get = posts;

  const ask = async (query: string, { signal }: AbortController, body?: string) => {
    const token = await line.credential();
    return fetch(line.address(path, query), {
      signal,
      cache: 'no-store',
      headers: {
        ...(token && { Authorization: `Bearer ${token}` }),
        ...(body && { 'Content-Type': 'application/json' }),
      },
      ...(body && { method: 'POST', body }),
    });
  };

  const listen = async () => {
    // The first answer has to come at once: it tells whether anything gets through.
    for (let query = 'wait=0'; ; ) {
      get = new AbortController();
      const { signal } = get;
      const next = performance.now() + PACE;
      try {
        const answer = await ask(query, get);
        query = '';
        if (answer.ok) await read(answer, line);
        else line.refused(`answered ${answer.status}`, await problem(answer));
      } catch (cause) {
        query = 'wait=0';
        if (!signal.aborted) line.lost(`can't be read: ${cause}`, { cause });
      }
      // By then all that came is taken note of, and counts in the next query. Once the connection is over, that is never.
      await line.pause(next - performance.now());
    }
  };
  void listen();

  return {
    async write(text, id) {
      let answer: ServerFrame;
      try {
        answer = decodeFrame(await (await ask('', posts, text)).text());
      } catch (cause) {
        // Whoever stands in between answered, or nobody.
        answer = { event: 'error', id, data: { code: 'connection_lost', message: `POST ${path}: ${cause}` } };
      }
      line.frame(answer);
    },
    renew: () => get.abort(),
    hangUp() {
      posts.abort();
      get.abort();
    },
  };
}

/** What the server has against a request: problem+json (RFC 9457) with an error code, and Retry-After. */
async function problem(answer: Response) {
  const { code, detail } = await answer.json().catch(() => ({}));
  return {
    // Someone in between who refuses has no code of ours, and is no reason to give up.
    closeCode: CloseCode[code as keyof typeof CloseCode],
    cause: detail,
    retryAfter: 1000 * Number(answer.headers.get('Retry-After')),
  };
}
