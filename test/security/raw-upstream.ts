import { createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';

/** A provider that answers with bytes as they are, which no HTTP server would send. */
export class RawUpstream implements AsyncDisposable {
  readonly #server: Server;
  #answer: (socket: Socket) => void = (socket) => socket.end();

  private constructor() {
    this.#server = createServer((socket) => {
      socket.on('error', () => undefined);
      let request = '';
      socket.on('data', (data) => {
        request += data.toString('latin1');
        const length = Number(/content-length: (\d+)/i.exec(request)?.[1] ?? 0);
        const end = request.indexOf('\r\n\r\n');
        if (end < 0 || request.length < end + 4 + length) return;
        request = '';
        this.#answer(socket);
      });
    });
  }

  static async start(): Promise<RawUpstream> {
    const upstream = new RawUpstream();
    await new Promise<void>((resolve) => upstream.#server.listen(0, '127.0.0.1', resolve));
    return upstream;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Every request from now on is answered with these bytes, and the connection ended. */
  answerWith(bytes: string): void {
    this.#answer = (socket) => socket.end(Buffer.from(bytes, 'latin1'));
  }

  /** Every request from now on is answered by this. */
  answerBy(answer: (socket: Socket) => void): void {
    this.#answer = answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
  }
}
