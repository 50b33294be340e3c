import { connect, type Socket } from 'node:net';
import { ChunkedBody } from './chunked-body.ts';
import { EventCounter } from './event-counter.ts';

const HEAD_END = Buffer.from('\r\n\r\n');
const FAULT_LENGTH = 200;

export interface Exchange {
  onFirstChunk(): void;
  onChunks(count: number): void;
  /** @param failure  `undefined` = a whole answer with status 200 */
  onEnd(failure: string | undefined): void;
}

/**
 * One keep-alive connection that sends requests made beforehand and looks at no more of an answer than it must:
 * status, length, events, end.
 */
export class Connection {
  readonly #socket: Socket;
  readonly #onIdle: (connection: Connection) => void;
  #exchange: Exchange | undefined;
  #head: Buffer | undefined;
  #inBody = false;
  #left = 0;
  #chunked: ChunkedBody | undefined;
  #events = new EventCounter();
  #start = '';
  #isStream = false;
  #status = '';

  constructor(port: number, onIdle: (connection: Connection) => void) {
    this.#onIdle = onIdle;
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.on('data', (bytes: Buffer) => this.#take(bytes));
    this.#socket.on('error', (error) => this.#end(error.message));
    this.#socket.on('close', () => this.#end('the connection was closed'));
  }

  get isUsable(): boolean {
    return !this.#socket.destroyed;
  }

  send(request: Buffer, isStream: boolean, exchange: Exchange): void {
    this.#exchange = exchange;
    this.#isStream = isStream;
    this.#inBody = false;
    this.#head = undefined;
    this.#events = new EventCounter();
    this.#start = '';
    this.#socket.write(request);
  }

  destroy(): void {
    this.#exchange = undefined;
    this.#socket.destroy();
  }

  #take(bytes: Buffer): void {
    if (!this.#exchange) return;
    let body = bytes;
    if (!this.#inBody) {
      const all = this.#head ? Buffer.concat([this.#head, bytes]) : bytes;
      const end = all.indexOf(HEAD_END);
      if (end < 0) {
        this.#head = all;
        return;
      }
      this.#readHead(all.toString('latin1', 0, end));
      body = all.subarray(end + HEAD_END.length);
    }
    if (this.#chunked) this.#takeChunked(this.#chunked, body);
    else this.#takeCounted(body);
  }

  #readHead(head: string): void {
    this.#inBody = true;
    this.#status = head.slice(9, 12);
    const isChunked = /\r\ntransfer-encoding: *chunked/i.test(head);
    this.#chunked = isChunked ? new ChunkedBody((data) => this.#takeData(data)) : undefined;
    this.#left = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
  }

  #takeCounted(body: Buffer): void {
    this.#keepStart(body);
    this.#left -= body.length;
    if (this.#left <= 0) this.#end(this.#fault());
  }

  #takeChunked(chunked: ChunkedBody, body: Buffer): void {
    const before = this.#events.events;
    const isOver = chunked.take(body);
    const came = this.#events.events - before;
    if (came > 0) {
      if (before === 0) this.#exchange?.onFirstChunk();
      this.#exchange?.onChunks(came);
    }
    if (isOver) this.#end(this.#fault());
  }

  #takeData(data: Buffer): void {
    this.#keepStart(data);
    if (this.#isStream) this.#events.take(data);
  }

  #keepStart(data: Buffer): void {
    if (this.#status !== '200' && this.#start.length < FAULT_LENGTH) {
      this.#start += data.toString('latin1', 0, FAULT_LENGTH);
    }
  }

  #fault(): string | undefined {
    if (this.#status !== '200') return `status ${this.#status}: ${this.#start}`;
    return this.#isStream && !this.#events.isDone ? 'a stream without [DONE]' : undefined;
  }

  #end(failure: string | undefined): void {
    const exchange = this.#exchange;
    if (!exchange) return;
    this.#exchange = undefined;
    exchange.onEnd(failure);
    if (!this.#socket.destroyed) this.#onIdle(this);
  }
}
