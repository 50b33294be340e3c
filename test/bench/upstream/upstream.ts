/**
 * The fake providers as a process: `node upstream.ts <port>`. HTTP/1.1 on plain sockets with answers made beforehand,
 * because node:http would cost as much as the proxies that are measured.
 */
import { createServer, type Socket } from 'node:net';
import { STREAM_END, STREAM_HEAD, streamEvents, type Vendor, WHOLE } from './answers.ts';
import { readMarker } from './script.ts';

/**
 * Events without a pause come in bursts, as a fast provider's do: this many in one packet. With one packet an event,
 * how many of them the kernel joins is left to chance, and the cost of the same stream came out as 1 or as 2.4.
 */
const EVENTS_PER_BURST = 4;
const WAIT_SPREAD = 0.2;
const HEAD_END = Buffer.from('\r\n\r\n');
const STREAM_FLAG = Buffer.from('"stream":true');

interface Script {
  readonly events: readonly Buffer[];
  readonly closing: number;
  readonly bursts: readonly Buffer[];
}

const scripts = new Map<string, Script>();

function scriptOf(vendor: Vendor, chunks: number): Script {
  const key = `${vendor} ${chunks}`;
  let script = scripts.get(key);
  if (!script) {
    const { events, closing } = streamEvents(vendor, chunks);
    const bursts: Buffer[] = [];
    for (let i = 0; i < events.length; i += EVENTS_PER_BURST) {
      bursts.push(Buffer.concat(events.slice(i, i + EVENTS_PER_BURST)));
    }
    scripts.set(key, (script = { events, closing, bursts }));
  }
  return script;
}

function answer(socket: Socket, head: string, body: Buffer): void {
  const vendor = vendorOf(head);
  // Google's streams are told by their path, everybody else's by the body.
  const isStream = vendor === 'google' ? head.includes(':streamGenerateContent') : body.includes(STREAM_FLAG);
  const { chunks, gapMs, waitMs } = readMarker(body);
  // Not the same for all: those that once came due together would come back together, a hundred at a time.
  if (waitMs > 0)
    setTimeout(
      begin,
      waitMs * (1 + WAIT_SPREAD * (Math.random() - 0.5)),
      socket,
      vendor,
      isStream,
      chunks,
      gapMs,
    );
  else begin(socket, vendor, isStream, chunks, gapMs);
}

function vendorOf(head: string): Vendor {
  const path = head.slice(0, head.indexOf('\r\n'));
  if (path.includes('/messages')) return 'anthropic';
  return path.includes('enerateContent') ? 'google' : 'openai';
}

function begin(socket: Socket, vendor: Vendor, isStream: boolean, chunks: number, gapMs: number): void {
  if (socket.destroyed) return;
  if (!isStream) {
    socket.write(WHOLE[vendor]);
    return;
  }
  const script = scriptOf(vendor, chunks);
  socket.write(STREAM_HEAD);
  if (gapMs === 0) burst(socket, script.bursts, 0);
  else pace(socket, script, 0, gapMs, performance.now());
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

/**
 * Each event at its own time after the start. With a pause after each, streams that once came due together would go on
 * together: they gather, and how many wake a proxy once instead of each on its own would be left to chance.
 */
function pace(socket: Socket, script: Script, next: number, gapMs: number, startedAt: number): void {
  if (socket.destroyed) return;
  const bytes = script.events[next];
  if (!bytes) {
    socket.write(STREAM_END);
    return;
  }
  socket.write(bytes);
  if (script.events.length - next <= script.closing) pace(socket, script, next + 1, gapMs, startedAt);
  else {
    const pause = startedAt + (next + 1) * gapMs - performance.now();
    setTimeout(pace, pause, socket, script, next + 1, gapMs, startedAt);
  }
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
      answer(socket, head, bytes.subarray(bodyStart, bodyStart + length));
      bytes = bytes.subarray(bodyStart + length);
    }
    if (bytes.length > 0) pending = bytes;
  });
}).listen(Number(process.argv[2]), '127.0.0.1', 4096);

/** Bytes of the body as it stands in the buffer; `undefined` = a chunked body that is not complete yet. */
function bodyLength(head: string, bytes: Buffer, bodyStart: number): number | undefined {
  const declared = /^content-length: *(\d+)/im.exec(head)?.[1];
  if (declared !== undefined) return Number(declared);
  if (!/^transfer-encoding: *chunked/im.test(head)) return 0;
  const end = bytes.indexOf('0\r\n\r\n', bodyStart);
  return end < 0 ? undefined : end + 5 - bodyStart;
}
