import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { builtInAnswer } from './built-in-answers.js';
import { Gates, sendAnswer } from './send-answer.js';
import { ScriptQueue } from './script-queue.js';
import type { Answer, BuiltInSettings, RecordedRequest, ScriptEntry } from './script.js';
import { describeRequest } from './describe-request.js';

/**
 * Stands for OpenAI, Anthropic and Google at once, on one port. Answers as scripted by the test (`POST /__script`), else
 * plausibly by itself, and keeps every request it received (`GET /__requests`).
 */
export class UpstreamServer {
  readonly #server: Server;
  readonly #queue = new ScriptQueue();
  readonly #gates = new Gates();
  readonly #connections = new WeakMap<Socket, number>();
  #connectionCount = 0;
  #requests: RecordedRequest[] = [];
  #nextId = 1;
  #builtIn: BuiltInSettings = {};

  constructor() {
    this.#server = createServer({ keepAliveTimeout: 30_000 }, (request, response) => {
      void this.#handle(request, response).catch((error: unknown) => {
        response.destroy(error instanceof Error ? error : undefined);
      });
    });
    this.#server.on('connection', (socket) => {
      this.#connectionCount += 1;
      this.#connections.set(socket, this.#connectionCount);
      socket.on('error', () => undefined);
    });
  }

  /** @returns the port */
  listen(port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.on('error', reject);
      this.#server.listen(port, '127.0.0.1', () => {
        const address = this.#server.address();
        resolve(address && typeof address === 'object' ? address.port : port);
      });
    });
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readBody(request);
    if (request.url?.startsWith('/__')) return this.#control(request, response, body);
    const record = this.#record(request, response, body);
    const scripted = this.#queue.take(record);
    await sendAnswer(this.#complete(scripted, record), response, record, this.#gates);
  }

  /** A scripted answer without a body of its own gets the built-in one; its own fields win. */
  #complete(scripted: Answer | undefined, record: RecordedRequest): Answer {
    if (scripted?.body && !('builtIn' in scripted.body)) return scripted;
    if (scripted?.status !== undefined && !scripted.body) return scripted;
    const builtIn = builtInAnswer(record, this.#builtIn);
    return { ...builtIn, ...scripted, ...(builtIn.body ? { body: builtIn.body } : {}) };
  }

  #record(request: IncomingMessage, response: ServerResponse, body: string): RecordedRequest {
    const record: RecordedRequest = {
      id: this.#nextId++,
      receivedAtMs: Date.now(),
      ...describeRequest(request, body),
      connection: this.#connections.get(request.socket) ?? 0,
      bytesSent: 0,
      finishedAtMs: undefined,
      abortedAtMs: undefined,
    };
    this.#requests.push(record);
    response.on('finish', () => (record.finishedAtMs = Date.now()));
    response.on('close', () => {
      if (record.finishedAtMs === undefined) record.abortedAtMs = Date.now();
    });
    response.on('error', () => undefined);
    return record;
  }

  #control(request: IncomingMessage, response: ServerResponse, body: string): void {
    const command = `${request.method} ${request.url}`;
    switch (command) {
      case 'POST /__script':
        this.#queue.add([JSON.parse(body)].flat() as ScriptEntry[]);
        return reply(response, {});
      case 'GET /__requests':
        return reply(response, this.#requests);
      case 'GET /__state':
        return reply(response, { waiting: this.#queue.waiting, connections: this.#connectionCount });
      case 'POST /__release':
        this.#gates.release((JSON.parse(body) as { gate: string }).gate);
        return reply(response, {});
      case 'POST /__built-in':
        this.#builtIn = JSON.parse(body) as BuiltInSettings;
        return reply(response, {});
      case 'POST /__reset':
        this.#reset();
        return reply(response, {});
      default:
        return reply(response, { error: `no such command: ${command}` }, 404);
    }
  }

  #reset(): void {
    this.#queue.clear();
    this.#gates.releaseAll();
    this.#requests = [];
    this.#builtIn = {};
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return Buffer.concat(pieces).toString('utf8');
}

function reply(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}
