import { connect, type Socket } from 'node:net';

const HEAD_END = Buffer.from('\r\n\r\n');
const EVENT_END = Buffer.from('\n\n');
const DONE = Buffer.from('[DONE]');
const LAST_CHUNK = Buffer.from('0\r\n\r\n');
const LONGEST_TAIL = 16;

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
  #chunked = false;
  #sawDone = false;
  #sawEvent = false;
  #isStream = false;
  #status = '';
  #tail: Buffer = Buffer.alloc(0);

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
    this.#sawDone = false;
    this.#sawEvent = false;
    this.#tail = Buffer.alloc(0);
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
    if (this.#chunked) this.#takeChunked(body);
    else this.#takeCounted(body);
  }

  #readHead(head: string): void {
    this.#inBody = true;
    this.#status = head.slice(9, 12);
    this.#chunked = /\r\ntransfer-encoding: *chunked/i.test(head);
    this.#left = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
  }

  #takeCounted(body: Buffer): void {
    this.#left -= body.length;
    if (this.#left <= 0)
      this.#end(
        this.#status === '200' ? undefined : `status ${this.#status}: ${body.toString('latin1', 0, 200)}`,
      );
  }

  #takeChunked(body: Buffer): void {
    if (body.length === 0) return;
    const joined = this.#tail.length > 0 ? Buffer.concat([this.#tail, body]) : body;
    if (this.#isStream) this.#countEvents(body, joined);
    const isOver = joined.subarray(-LAST_CHUNK.length).equals(LAST_CHUNK);
    this.#tail = Buffer.from(joined.subarray(-LONGEST_TAIL));
    if (!isOver) return;
    if (this.#status !== '200') this.#end(`status ${this.#status}: ${joined.toString('latin1', 0, 200)}`);
    else this.#end(this.#isStream && !this.#sawDone ? 'a stream without [DONE]' : undefined);
  }

  #countEvents(body: Buffer, joined: Buffer): void {
    let events = 0;
    for (let at = body.indexOf(EVENT_END); at >= 0; at = body.indexOf(EVENT_END, at + 2)) events++;
    if (events > 0) {
      if (!this.#sawEvent) this.#exchange?.onFirstChunk();
      this.#sawEvent = true;
      this.#exchange?.onChunks(events);
    }
    if (!this.#sawDone && joined.includes(DONE, Math.max(0, joined.length - 400))) this.#sawDone = true;
  }

  #end(failure: string | undefined): void {
    const exchange = this.#exchange;
    if (!exchange) return;
    this.#exchange = undefined;
    exchange.onEnd(failure);
    if (!this.#socket.destroyed) this.#onIdle(this);
  }
}
