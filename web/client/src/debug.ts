/**
 * Says line by line what a client goes through. Of what is published it tells the event's name, its room and its
 * offset, of errors the codes: neither data nor tokens, which may stand in the messages of errors.
 *
 *     const stop = traceClient(client);
 *
 * @packageDocumentation
 */
import type { ZonecastClient } from './client.js';
import type { ZonecastError } from './errors.js';
import type { Gap, MessageMeta, ProtocolEvents, ProtocolMeta } from './events.js';
import type { State } from './state.js';

/**
 * Calls `log` with one line for the state of now, each later one with its error and the time of the next try, and each
 * event. Returns what ends it.
 */
export function traceClient<Events>(client: ZonecastClient<Events>, log: (line: string) => void = console.debug): () => void {
  const write = (...words: unknown[]) => log(['zonecast:', ...words].filter((word) => word !== undefined && word !== '').join(' '));
  const writeState = (state: State) => write('state', ...stateWords(state));
  const stops = [client.onState(writeState), client.onAny((data, meta) => write(...eventWords(data, meta)))];
  writeState(client.state);
  return () => {
    for (const stop of stops) stop();
  };
}

function stateWords(state: State): unknown[] {
  const { name } = state;
  if (name === 'connected') return [name, 'by', state.transport, 'to', state.info.node];
  if (name === 'connecting' || name === 'recovering') return [name, 'attempt', state.attempt];
  if (name === 'failed') return [name, ...errorWords(state.error)];
  if (name !== 'waiting') return [name];
  const wait = Math.max(0, Math.round(state.retryAt - Date.now()));
  return [name, 'attempt', state.attempt, 'in', wait, 'ms', ...errorWords(state.error)];
}

function errorWords({ code, closeCode, retryAfter, errors }: Partial<ZonecastError>): unknown[] {
  return [
    'error',
    code,
    ...(closeCode ? ['close', closeCode] : []),
    ...(retryAfter ? ['retryAfter', retryAfter, 'ms'] : []),
    ...(errors ? ['transports', errors.map((error) => error.code).join()] : []),
  ];
}

function eventWords(data: unknown, { event, room, offset, retained }: MessageMeta | ProtocolMeta): unknown[] {
  // What was published has a room: its data is not looked into. Without one it is the protocol's own.
  if (room) return ['event', event, room, offset, retained && 'retained'];
  const { room: of, from, to } = (data ?? {}) as Partial<Gap>;
  const { retryAfter } = (data ?? {}) as Partial<ProtocolEvents['drain']>;
  if (event === 'gap' || event === 'conflated') return [event, of, 'from', from, 'to', to];
  if (event === 'error') return errorWords((data ?? {}) as Partial<ZonecastError>);
  return ['event', event, ...(event === 'drain' ? ['retryAfter', retryAfter, 'ms'] : [])];
}
