/** The least a Node proxy can do: `node raw-proxy.ts <port> <upstream port>`. Bytes pass through; nobody is asked anything. */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import { type Dispatcher, Pool } from 'undici';

const [, , port, upstreamPort] = process.argv;
const UPSTREAM_HEADERS = ['content-type', 'application/json', 'authorization', 'Bearer sk-bench'];
const pool = new Pool(`http://127.0.0.1:${upstreamPort}`, {
  pipelining: 1,
  keepAliveTimeout: 60_000,
  headersTimeout: 0,
  bodyTimeout: 0,
});

class PassThrough implements Dispatcher.DispatchHandler {
  readonly #response: ServerResponse;
  #left = -1;
  #isSent = false;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#response.on('close', () => {
      if (!this.#response.writableFinished) controller.abort(new Error('the client is gone'));
    });
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
  ): void {
    const length = headers['content-length'];
    this.#left = length === undefined ? -1 : Number(length);
    this.#response.writeHead(status, {
      'content-type': headers['content-type'],
      ...(length === undefined ? {} : { 'content-length': length }),
    });
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#left === chunk.length) {
      this.#response.end(chunk);
      this.#isSent = true;
    } else if (!this.#response.write(chunk)) {
      controller.pause();
      this.#response.once('drain', () => controller.resume());
    }
  }

  onResponseEnd(): void {
    if (!this.#isSent) this.#response.end();
  }

  onResponseError(): void {
    this.#response.destroy();
  }
}

createServer((request, response) => {
  const parts: Buffer[] = [];
  request.on('data', (part: Buffer) => parts.push(part));
  request.on('end', () => {
    const body = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
    pool.dispatch(
      { path: '/v1/chat/completions', method: 'POST', headers: UPSTREAM_HEADERS, body },
      new PassThrough(response),
    );
  });
}).listen(Number(port), '127.0.0.1', 4096);
