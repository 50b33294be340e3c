import { connect, type Socket } from 'node:net';

/** One answer as it came over the socket. */
export interface RawResponse {
  readonly status: number;
  /** Names in lower case; of repeated headers the values are joined. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface RawExchange {
  /** Everything the server wrote. */
  readonly text: string;
  readonly responses: readonly RawResponse[];
  /** The server ended the connection by itself. */
  readonly closed: boolean;
}

export interface RawOptions {
  /** How long to wait for more after the last byte. */
  readonly quietMs?: number;
  /** Pieces are sent so far apart. */
  readonly gapMs?: number;
}

/**
 * Sends bytes as they are, which no HTTP client would let through, and reads until the server closes or is quiet.
 *
 * @param pieces  Latin-1 text; each is a write of its own
 */
export async function sendRaw(
  port: number,
  pieces: string | readonly string[],
  { quietMs = 400, gapMs = 0 }: RawOptions = {},
): Promise<RawExchange> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  const received = receive(socket, quietMs);
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  for (const piece of [pieces].flat()) {
    if (socket.destroyed) break;
    socket.write(Buffer.from(piece, 'latin1'));
    if (gapMs > 0) await new Promise((resolve) => setTimeout(resolve, gapMs));
  }
  return received;
}

function receive(socket: Socket, quietMs: number): Promise<RawExchange> {
  let text = '';
  return new Promise((resolve) => {
    const finish = (closed: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ text, responses: parseResponses(text), closed });
    };
    const timer = setTimeout(() => finish(false), quietMs + 4_000);
    let quiet: NodeJS.Timeout | undefined;
    socket.on('data', (data) => {
      text += data.toString('latin1');
      clearTimeout(quiet);
      quiet = setTimeout(() => finish(false), quietMs);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(quiet);
      finish(true);
    });
  });
}

/** The answers in a stream of bytes, one behind the other. What is left over is an answer that was cut. */
export function parseResponses(text: string): RawResponse[] {
  const responses: RawResponse[] = [];
  let rest = text;
  for (;;) {
    const end = rest.indexOf('\r\n\r\n');
    const status = /^HTTP\/1\.[01] (\d{3})/.exec(rest)?.[1];
    if (end < 0 || status === undefined) return responses;
    const headers = parseHeaders(rest.slice(0, end));
    const { body, length } = bodyOf(rest.slice(end + 4), headers, Number(status));
    responses.push({ status: Number(status), headers, body });
    rest = rest.slice(end + 4 + length);
  }
}

function parseHeaders(head: string): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const line of head.split('\r\n').slice(1)) {
    const [, name = '', value = ''] = /^([^:]+):\s*(.*)$/.exec(line) ?? [];
    const key = name.toLowerCase();
    headers[key] = headers[key] === undefined ? value : `${headers[key]}, ${value}`;
  }
  return headers;
}

function bodyOf(
  rest: string,
  headers: Readonly<Record<string, string>>,
  status: number,
): { body: string; length: number } {
  if (status < 200 || status === 204 || status === 304) return { body: '', length: 0 };
  const declared = headers['content-length'];
  if (declared !== undefined) {
    const length = Math.min(Number(declared), rest.length);
    return { body: rest.slice(0, length), length };
  }
  if (headers['transfer-encoding']?.includes('chunked')) return dechunk(rest);
  return { body: rest, length: rest.length };
}

function dechunk(text: string): { body: string; length: number } {
  let body = '';
  let at = 0;
  for (;;) {
    const lineEnd = text.indexOf('\r\n', at);
    const size = Number.parseInt(text.slice(at, lineEnd), 16);
    if (lineEnd < 0 || Number.isNaN(size)) return { body, length: text.length };
    at = lineEnd + 2 + size + 2;
    if (size === 0) return { body, length: at };
    body += text.slice(lineEnd + 2, lineEnd + 2 + size);
  }
}

/** A request in its usual form. */
export function rawRequest(
  method: string,
  target: string,
  headers: Readonly<Record<string, string>> = {},
  body = '',
): string {
  const all = {
    host: 'localhost',
    ...(body === ''
      ? {}
      : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n${body}`;
}
