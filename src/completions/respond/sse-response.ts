import { GatewayError } from '@app/contracts';
import type { Response } from 'express';
import { toGatewayError } from '../../edge/gateway-error.filter.js';

const PING = ': ping\n\n';
const DONE = 'data: [DONE]\n\n';

/**
 * Writes one answer stream as server-sent events, at the client's pace.
 *
 * Backpressure: the next event is pulled only when the socket has taken the last one, so a slow reader costs one
 * event of memory. An error after the first byte is an event of its own, and then no `[DONE]`: only a stream that
 * ended well has it.
 */
export class SseResponse {
  #heartbeat: NodeJS.Timeout | undefined;

  constructor(
    private readonly response: Response,
    private readonly heartbeatMs: number,
  ) {}

  /** Sends the headers and begins to say `: ping` whenever nothing else is said for `heartbeatMs`. */
  open(): void {
    if (this.response.headersSent || this.response.destroyed) return;
    this.response.statusCode = 200;
    this.response.setHeader('Content-Type', 'text/event-stream; charset=utf-8');
    this.response.setHeader('Cache-Control', 'no-cache, no-transform');
    this.response.setHeader('X-Accel-Buffering', 'no');
    this.response.flushHeaders();
    if (this.heartbeatMs > 0) this.#heartbeat = setTimeout(() => this.#ping(), this.heartbeatMs);
  }

  /** @param events  JSON texts, one event each; iterated to the end or until the client is gone */
  async pipe(events: AsyncIterable<string>): Promise<void> {
    this.open();
    try {
      for await (const json of events) {
        if (!this.#isOpen()) return;
        await this.#write(`data: ${json}\n\n`);
      }
      if (this.#isOpen()) this.response.end(DONE);
    } catch (error) {
      this.fail(error);
    } finally {
      this.#stopHeartbeat();
    }
  }

  /** Ends the stream with an error event. */
  fail(error: unknown): void {
    this.#stopHeartbeat();
    if (!this.#isOpen()) return;
    const shown: GatewayError = toGatewayError(error);
    this.response.end(`data: ${JSON.stringify(shown.toEnvelope())}\n\n`);
  }

  #isOpen(): boolean {
    return !this.response.destroyed && !this.response.writableEnded;
  }

  async #write(frame: string): Promise<void> {
    this.#heartbeat?.refresh();
    if (!this.response.write(frame)) await drained(this.response);
  }

  #ping(): void {
    if (!this.#isOpen()) return;
    // A reader that has not taken the last bytes needs no more of them.
    if (!this.response.writableNeedDrain) this.response.write(PING);
    this.#heartbeat?.refresh();
  }

  #stopHeartbeat(): void {
    clearTimeout(this.#heartbeat);
    this.#heartbeat = undefined;
  }
}

/** Resolves when the socket takes more, or is closed. */
function drained(response: Response): Promise<void> {
  if (response.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.once('drain', done);
    response.once('close', done);
  });
}
