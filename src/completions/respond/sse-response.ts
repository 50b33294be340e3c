import { GatewayError, type ReadyEvents, readyEventsOf } from '@app/contracts';
import type { Response } from 'express';
import { toGatewayError } from '../../edge/gateway-error.filter.js';
import type { Deadlines, Timed } from '../../timing/deadlines.js';
import { ChunkedText } from './chunked-text.js';

/**
 * Without a blank line: openai-go before 3.43 takes every blank line for the end of an event, and fails at one without data.
 */
const PING = ': ping\n';
const DONE = 'data: [DONE]\n\n';
/** Text that waits for the end of the turn, before it goes at once. */
const MAX_GATHERED_LENGTH = 32 * 1024;
/** What a client that has not read for long may still wait before it reads on, when its time is over. */
const UNREAD_GRACE_MS = 5_000;

/**
 * Writes one answer stream as server-sent events, at the client's pace.
 *
 * Backpressure: nothing more is pulled while the socket has not taken the last bytes, so a slow reader costs no more
 * than one turn's events. Whose time is over and who takes nothing for some seconds more is left.
 *
 * Events that are there in the same turn of the event loop (the provider sent them in one packet) go out in one write:
 * nobody waits for it, and it saves writes. An error after the first byte is an event of its own, and then no `[DONE]`:
 * only a stream that ended well has it.
 */
export class SseResponse implements Timed {
  dueAtMs = 0;
  checkAtMs = 0;
  earlier: Timed | undefined = undefined;
  later: Timed | undefined = undefined;
  #gathered = '';
  /** Once the head is sent. */
  #text: ChunkedText | undefined = undefined;
  #events: AsyncIterator<string> | undefined = undefined;
  #ready: ReadyEvents<string> | undefined = undefined;
  #onOver: (() => void) | undefined = undefined;
  #readByMs = Infinity;
  /** One for the whole stream; a promise for each chunk, and a function that waits for it, would be dearer. */
  readonly #goOn = (): void => this.#pump();

  /** @param heartbeats  of all streams with this `heartbeatMs`; 0 = none */
  constructor(
    private readonly response: Response,
    private readonly heartbeatMs: number,
    private readonly heartbeats: Deadlines,
    /** The time a client has for a stream. */
    private readonly readMs: number,
  ) {}

  /** Sends the headers and begins to say `: ping` whenever nothing else is said for `heartbeatMs`. */
  open(): void {
    if (this.response.headersSent || this.response.destroyed) return;
    this.response.statusCode = 200;
    this.response.setHeader('Content-Type', 'text/event-stream; charset=utf-8');
    this.response.setHeader('Cache-Control', 'no-cache, no-transform');
    this.response.setHeader('X-Accel-Buffering', 'no');
    this.response.flushHeaders();
    this.#text = new ChunkedText(this.response);
    this.#rest();
  }

  /**
   * Begins to write them, and does not throw: a failure is an event.
   *
   * @param events  JSON texts, one event or a run of them each; iterated to the end or until the client is gone
   * @param onOver  called once, when the stream has ended, whoever ended it
   */
  pipe(events: AsyncIterable<string>, onOver?: () => void): void {
    // The head goes out with the first events, which are there already.
    const { socket } = this.response;
    socket?.cork();
    this.open();
    this.#onOver = onOver;
    this.#readByMs = performance.now() + this.readMs;
    this.#events = events[Symbol.asyncIterator]();
    this.#ready = readyEventsOf(this.#events);
    this.#pump();
    socket?.uncork();
  }

  /** Nothing was said for a while. */
  onDue(): void {
    if (!this.#isOpen()) return;
    // A reader that has not taken the last bytes needs no more of them.
    if (!this.response.writableNeedDrain) this.#text?.write(PING);
    this.#rest();
  }

  /** Writes what is there, and comes back when there is more, or room for it. */
  #pump(): void {
    try {
      while (this.#isOpen()) {
        if (this.response.writableNeedDrain) return this.#awaitRoom();
        const json = this.#ready?.takeReady();
        if (json !== undefined) this.#gather(json);
        // Mostly that was all, so it is not asked for once more before waiting.
        if (this.response.writableNeedDrain) continue;
        if (this.#ready?.whenReady(this.#goOn)) return this.#flush();
        if (json !== undefined) continue;
        this.#flushLater();
        return void this.#pull();
      }
      void this.#leave();
    } catch (error) {
      this.#break(error);
    }
  }

  #awaitRoom(): void {
    const leftMs = Math.max(0, this.#readByMs - performance.now());
    whenDrained(this.response, leftMs + UNREAD_GRACE_MS, this.#goOn);
  }

  /** One step that takes a promise: what comes next, the end, or a failure. */
  async #pull(): Promise<void> {
    try {
      const { done, value } = await this.#events!.next();
      if (done) return this.#finish();
      this.#gather(value);
    } catch (error) {
      return this.#break(error);
    }
    this.#pump();
  }

  #finish(): void {
    if (!this.#isOpen()) return void this.#leave();
    this.#text?.end(this.#takeGathered() + DONE);
    this.#over();
  }

  /** The client is gone. */
  async #leave(): Promise<void> {
    try {
      await this.#events?.return?.();
      this.#over();
    } catch (error) {
      this.#break(error);
    }
  }

  #break(error: unknown): void {
    try {
      this.fail(error);
    } finally {
      this.#over();
    }
  }

  #over(): void {
    this.heartbeats.clear(this);
    const onOver = this.#onOver;
    this.#onOver = undefined;
    onOver?.();
  }

  /** Ends the stream with an error event. */
  fail(error: unknown): void {
    this.heartbeats.clear(this);
    if (!this.#isOpen()) return;
    const shown: GatewayError = toGatewayError(error);
    this.#text?.end(`${this.#takeGathered()}data: ${JSON.stringify(shown.toEnvelope())}\n\n`);
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
    const frames = this.#takeGathered();
    if (!this.#isOpen()) return;
    this.#rest();
    this.#text?.write(frames);
  }

  #takeGathered(): string {
    const frames = this.#gathered;
    this.#gathered = '';
    return frames;
  }

  /** From now on nothing is said. */
  #rest(): void {
    if (this.heartbeatMs > 0) this.heartbeats.set(this, this.heartbeatMs);
  }
}

/** Calls back when the socket takes more, or is closed, as it is when it has taken nothing for so long. */
function whenDrained(response: Response, withinMs: number, goOn: () => void): void {
  const timer = setTimeout(() => response.destroy(), withinMs);
  const done = (): void => {
    clearTimeout(timer);
    response.off('drain', done);
    response.off('close', done);
    goOn();
  };
  response.once('drain', done);
  response.once('close', done);
}
