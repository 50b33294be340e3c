/**
 * The fake provider as a process: `node upstream.ts <port>`. HTTP/1.1 on plain sockets with answers made beforehand,
 * because node:http would cost as much as the proxies that are measured.
 */
import { createServer, type Socket } from 'node:net';
import { STREAM_END, STREAM_HEAD, streamEvents, WHOLE } from './answers.ts';

/** Events without a pause come in bursts, as a fast provider's do: this many in one packet. */
const EVENTS_PER_BURST = 4;
const HEAD_END = Buffer.from('\r\n\r\n');
const MARKER = Buffer.from('bench chunks=');
const STREAM_FLAG = Buffer.from('"stream":true');

interface Script {
  readonly events: readonly Buffer[];
  readonly bursts: readonly Buffer[];
}

const scripts = new Map<number, Script>();

function scriptOf(chunks: number): Script {
  let script = scripts.get(chunks);
  if (!script) {
    const events = streamEvents(chunks);
    const bursts: Buffer[] = [];
    for (let i = 0; i < events.length; i += EVENTS_PER_BURST) {
      bursts.push(Buffer.concat(events.slice(i, i + EVENTS_PER_BURST)));
    }
    scripts.set(chunks, (script = { events, bursts }));
  }
  return script;
}

function answer(socket: Socket, body: Buffer): void {
  if (!body.includes(STREAM_FLAG)) {
    socket.write(WHOLE);
    return;
  }
  const at = body.indexOf(MARKER);
  const [, chunks = '100', gapMs = '0'] =
    /chunks=(\d+) gap=(\d+)/.exec(at < 0 ? '' : body.toString('latin1', at, at + 64)) ?? [];
  const script = scriptOf(Number(chunks));
  socket.write(STREAM_HEAD);
  if (gapMs === '0') burst(socket, script.bursts, 0);
  else pace(socket, script.events, 0, Number(gapMs));
}

function burst(socket: Socket, bursts: readonly Buffer[], next: number): void {
  if (socket.destroyed) return;
  const bytes = bursts[next];
  if (!bytes) {
    socket.write(STREAM_END);
    return;
  }
  socket.write(bytes);
  setImmediate(burst, socket, bursts, next + 1);
}

function pace(socket: Socket, events: readonly Buffer[], next: number, gapMs: number): void {
  if (socket.destroyed) return;
  const bytes = events[next];
  if (!bytes) {
    socket.write(STREAM_END);
    return;
  }
  socket.write(bytes);
  // What ends a stream (finish, usage, `[DONE]`) comes without a pause, as providers send it.
  if (events.length - next <= 3) pace(socket, events, next + 1, gapMs);
  else setTimeout(pace, gapMs, socket, events, next + 1, gapMs);
}

createServer((socket) => {
  let pending: Buffer | undefined;
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  socket.on('data', (data: Buffer) => {
    let bytes = pending ? Buffer.concat([pending, data]) : data;
    pending = undefined;
    while (bytes.length > 0) {
      const headEnd = bytes.indexOf(HEAD_END);
      if (headEnd < 0) break;
      const head = bytes.toString('latin1', 0, headEnd);
      const bodyStart = headEnd + HEAD_END.length;
      const length = bodyLength(head, bytes, bodyStart);
      if (length === undefined || bytes.length < bodyStart + length) break;
      answer(socket, bytes.subarray(bodyStart, bodyStart + length));
      bytes = bytes.subarray(bodyStart + length);
    }
    if (bytes.length > 0) pending = bytes;
  });
}).listen(Number(process.argv[2]), '127.0.0.1', 4096, () => process.send?.('listening'));

/** Bytes of the body as it stands in the buffer; `undefined` = a chunked body that is not complete yet. */
function bodyLength(head: string, bytes: Buffer, bodyStart: number): number | undefined {
  const declared = /^content-length: *(\d+)/im.exec(head)?.[1];
  if (declared !== undefined) return Number(declared);
  if (!/^transfer-encoding: *chunked/im.test(head)) return 0;
  const end = bytes.indexOf('0\r\n\r\n', bodyStart);
  return end < 0 ? undefined : end + 5 - bodyStart;
}
