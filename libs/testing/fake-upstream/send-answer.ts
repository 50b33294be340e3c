import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import type { Answer, AnswerBody, RecordedRequest } from './script.js';
import { splitBytes } from './split-bytes.js';

const ENDLESS_PIECE = Buffer.alloc(64 * 1_024, 'a');
const BOMB_PIECE_BYTES = 16 * 2 ** 20;

/** Answers held back by name until the test releases them. */
export class Gates {
  readonly #open = new Set<string>();
  readonly #waiting = new Map<string, (() => void)[]>();

  pass(name: string): Promise<void> {
    if (this.#open.has(name)) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.set(name, [...(this.#waiting.get(name) ?? []), resolve]);
    });
  }

  release(name: string): void {
    this.#open.add(name);
    for (const resume of this.#waiting.get(name) ?? []) resume();
    this.#waiting.delete(name);
  }

  releaseAll(): void {
    for (const name of this.#waiting.keys()) this.release(name);
    this.#open.clear();
  }
}

/** Sends one answer with its delays and faults. Resolves when there is nothing more to send. */
export async function sendAnswer(
  answer: Answer,
  response: ServerResponse,
  record: RecordedRequest,
  gates: Gates,
): Promise<void> {
  if (answer.gate) await gates.pass(answer.gate);
  if (answer.delayMs) await sleep(answer.delayMs);
  for (const { status, headers } of answer.informational ?? []) await sendInterim(response, status, headers);
  if (answer.fault?.afterBytes === 'before-headers') return fail(answer.fault.kind, response);
  const body = answer.body ?? { text: '' };
  if ('endless' in body) return sendEndless(body.endless, answer, response);
  if ('gzipBombBytes' in body) return sendGzipBomb(body.gzipBombBytes, answer, response);
  await sendBody(toBuffer(body), contentType(body), answer, response, record, gates);
}

async function sendBody(
  bytes: Buffer,
  type: string,
  answer: Answer,
  response: ServerResponse,
  record: RecordedRequest,
  gates: Gates,
): Promise<void> {
  const pieces = splitBytes(bytes, answer.splitting ?? defaultSplitting(answer, type));
  const known = answer.fault === undefined && !type.startsWith('text/event-stream');
  writeHead(response, answer, {
    'content-type': type,
    ...(known ? { 'content-length': String(bytes.length) } : {}),
  });
  const faultAt =
    answer.fault && answer.fault.afterBytes !== 'before-headers' ? answer.fault.afterBytes : Infinity;
  const gateAt = answer.gateAfter?.bytes ?? Infinity;
  for (const piece of cutAt(pieces, [faultAt, gateAt])) {
    if (record.bytesSent >= faultAt || response.destroyed) break;
    if (answer.gateAfter && record.bytesSent === gateAt) await gates.pass(answer.gateAfter.gate);
    await write(response, piece);
    record.bytesSent += piece.length;
    if (answer.chunkDelayMs) await sleep(answer.chunkDelayMs);
    else if (pieces.length > 1) await new Promise(setImmediate);
  }
  if (answer.gateAfter && record.bytesSent <= gateAt) await gates.pass(answer.gateAfter.gate);
  if (answer.fault && bytes.length >= faultAt) return fail(answer.fault.kind, response);
  response.end();
}

/** Splits the pieces further so that every one of the positions is the end of a piece. */
function cutAt(pieces: Buffer[], positions: number[]): Buffer[] {
  const result: Buffer[] = [];
  let start = 0;
  for (const piece of pieces) {
    const inside = positions.map((at) => at - start).filter((at) => at > 0 && at < piece.length);
    let from = 0;
    for (const at of [...new Set(inside)].sort((a, b) => a - b)) {
      result.push(piece.subarray(from, at));
      from = at;
    }
    result.push(piece.subarray(from));
    start += piece.length;
  }
  return result;
}

function defaultSplitting(answer: Answer, type: string): { kind: 'events' } | { kind: 'whole' } {
  return answer.chunkDelayMs && type.startsWith('text/event-stream') ? { kind: 'events' } : { kind: 'whole' };
}

function fail(kind: 'stall' | 'cut' | 'reset', response: ServerResponse): void {
  const socket: Socket | null = response.socket;
  if (kind === 'cut') socket?.end();
  if (kind === 'reset') socket?.resetAndDestroy();
}

function writeHead(response: ServerResponse, answer: Answer, own: Record<string, string>): void {
  response.socket?.setNoDelay(true);
  response.writeHead(answer.status ?? 200, { ...own, ...lowerCase(answer.headers ?? {}) });
  response.flushHeaders();
}

function lowerCase(headers: Record<string, string | string[]>): Record<string, string | string[]> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

async function sendInterim(
  response: ServerResponse,
  status: number,
  headers: Record<string, string> = {},
): Promise<void> {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  response.socket?.write(`HTTP/1.1 ${status} Interim\r\n${lines.join('')}\r\n`);
  await new Promise(setImmediate);
}

async function sendEndless(
  kind: 'header' | 'body' | 'sse-line',
  answer: Answer,
  response: ServerResponse,
): Promise<void> {
  const { socket } = response;
  if (!socket) return;
  if (kind === 'header') {
    socket.write('HTTP/1.1 200 OK\r\nx-endless: ');
    return writeForEver(socket);
  }
  writeHead(response, answer, { 'content-type': kind === 'body' ? 'application/json' : 'text/event-stream' });
  await write(response, Buffer.from(kind === 'body' ? '{"text":"' : 'data: {"text":"'));
  await writeForEver(response);
}

/** Zeros are compressed once: a gzip file may be several, one behind the other. */
async function sendGzipBomb(bytes: number, answer: Answer, response: ServerResponse): Promise<void> {
  writeHead(response, answer, { 'content-type': 'application/json', 'content-encoding': 'gzip' });
  const size = Math.min(bytes, BOMB_PIECE_BYTES);
  const piece = gzipSync(Buffer.alloc(size));
  for (let sent = 0; sent < bytes && !response.destroyed; sent += size) await write(response, piece);
  response.end();
}

/** Resolves when the piece is handed to the network, or the receiver is gone. */
function write(to: Writable, piece: Buffer): Promise<void> {
  return new Promise((resolve) => {
    if (to.destroyed) return resolve();
    to.once('close', resolve);
    to.write(piece, () => {
      to.off('close', resolve);
      resolve();
    });
  });
}

/** Yields between the pieces, so that the end of the connection is noticed. */
async function writeForEver(to: Writable): Promise<void> {
  while (!to.destroyed) {
    await write(to, ENDLESS_PIECE);
    await new Promise(setImmediate);
  }
}

function toBuffer(body: AnswerBody): Buffer {
  if ('json' in body) return Buffer.from(JSON.stringify(body.json));
  if ('sse' in body) return Buffer.from(body.sse);
  if ('base64' in body) return Buffer.from(body.base64, 'base64');
  if ('text' in body) return Buffer.from(body.text);
  throw new Error('this body has no fixed bytes');
}

function contentType(body: AnswerBody): string {
  if ('json' in body) return 'application/json';
  if ('sse' in body) return 'text/event-stream';
  if ('contentType' in body && body.contentType) return body.contentType;
  return 'text/plain';
}
