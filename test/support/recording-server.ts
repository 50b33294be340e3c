import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface RecordedRequest {
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** How the server answers from now on. `hang` reads the request and never answers. */
export type Behaviour = 'ok' | 'hang' | 'error' | 'slow' | 'not-json';

/** A telemetry backend of our own: keeps everything it is sent. */
export class RecordingServer {
  readonly requests: RecordedRequest[] = [];
  behaviour: Behaviour = 'ok';
  readonly #server: Server;

  private constructor(private readonly okBody: string) {
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  static async start(okBody: string): Promise<RecordingServer> {
    const recorder = new RecordingServer(okBody);
    await new Promise<void>((resolve) => recorder.#server.listen(0, '127.0.0.1', resolve));
    return recorder;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get bodies(): string {
    return this.requests.map((request) => request.body).join('\n');
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part);
    this.requests.push({
      path: request.url ?? '',
      headers: request.headers,
      body: Buffer.concat(parts).toString('utf8'),
    });
    if (this.behaviour === 'hang') return;
    if (this.behaviour === 'slow') await new Promise((resolve) => setTimeout(resolve, 500));
    if (this.behaviour === 'error')
      response.writeHead(500, { 'content-type': 'application/json' }).end('{"error":"no"}');
    else if (this.behaviour === 'not-json') response.writeHead(502).end('<html>bad gateway</html>');
    else response.writeHead(200, { 'content-type': 'application/json' }).end(this.okBody);
  }
}

/** Resolves when `check` is true, throws after `timeoutMs`. */
export async function until(check: () => boolean, timeoutMs = 5_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!check()) {
    if (performance.now() > deadline) throw new Error(`not true after ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
