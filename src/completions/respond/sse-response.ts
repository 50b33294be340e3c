import { GatewayError, type ReadyEvents, readyEventsOf } from '@app/contracts';
import type { Response } from 'express';
import { toGatewayError } from '../../edge/gateway-error.filter.js';

const PING = ': ping\n\n';
const DONE = 'data: [DONE]\n\n';
/** Text that waits for the end of the turn, before it goes at once. */
const MAX_GATHERED_LENGTH = 32 * 1024;

/**
 * Writes one answer stream as server-sent events, at the client's pace.
 *
 * Backpressure: nothing more is pulled while the socket has not taken the last bytes, so a slow reader costs no more
 * than one turn's events. Events that are there in the same turn of the event loop (the provider sent them in one
 * packet) go out in one write: nobody waits for it, and it saves writes. An error after the first byte is an event of
 * its own, and then no `[DONE]`: only a stream that ended well has it.
 */
export class SseResponse {
  #heartbeat: NodeJS.Timeout | undefined;
  #gathered = '';

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

  /** @param events  JSON texts, one event or a run of them each; iterated to the end or until the client is gone */
  async pipe(events: AsyncIterable<string>): Promise<void> {
    this.open();
    const iterator = events[Symbol.asyncIterator]();
    const ready = readyEventsOf(iterator);
    try {
      while (this.#isOpen()) {
        this.#gatherReady(ready);
        if (this.response.writableNeedDrain) {
          await drained(this.response);
          continue;
        }
        const more = ready.untilReady();
        if (more) {
          this.#flush();
          await more;
          continue;
        }
        this.#flushLater();
        const { done, value } = await iterator.next();
        if (done) break;
        this.#gather(value);
      }
      if (this.#isOpen()) this.response.end(this.#takeGathered() + DONE);
      else await iterator.return?.();
    } catch (error) {
      this.fail(error);
    } finally {
      this.#stopHeartbeat();
    }
  }

  #gatherReady(ready: ReadyEvents<string>): void {
    while (!this.response.writableNeedDrain) {
      const json = ready.takeReady();
      if (json === undefined) return;
      this.#gather(json);
    }
  }

  /** Ends the stream with an error event. */
  fail(error: unknown): void {
    this.#stopHeartbeat();
    if (!this.#isOpen()) return;
    const shown: GatewayError = toGatewayError(error);
    this.response.end(`${this.#takeGathered()}data: ${JSON.stringify(shown.toEnvelope())}\n\n`);
  }

  #isOpen(): boolean {
    return !this.response.destroyed && !this.response.writableEnded;
  }

  #gather(json: string): void {
    this.#gathered += `data: ${json}\n\n`;
    if (this.#gathered.length >= MAX_GATHERED_LENGTH) this.#flush();
  }

  /** Ticks come after all microtasks, so after every event that is there already. */
  #flushLater(): void {
    if (this.#gathered !== '') process.nextTick(() => this.#flush());
  }

  #flush(): void {
    if (this.#gathered === '') return;
    this.#heartbeat?.refresh();
    const frames = this.#takeGathered();
    if (this.#isOpen()) this.response.write(frames);
  }

  #takeGathered(): string {
    const frames = this.#gathered;
    this.#gathered = '';
    return frames;
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
