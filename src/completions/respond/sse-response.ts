import { GatewayError, type ReadyEvents, readyEventsOf } from '@app/contracts';
import type { Response } from 'express';
import { toGatewayError } from '../../edge/gateway-error.filter.js';
import type { Deadlines, Timed } from '../../timing/deadlines.js';
import { ChunkedText } from './chunked-text.js';

/** No blank line: openai-go before 3.43 takes every blank line for the end of an event, and fails at one without data. */
const PING = ': ping\n';
const DONE = 'data: [DONE]\n\n';
/** More gathered text than this does not wait for the end of the turn. */
const MAX_GATHERED_LENGTH = 32 * 1024;
/** When its time is over, a client that has stopped reading gets this long to go on. */
const UNREAD_GRACE_MS = 5_000;

/**
 * Writes one answer stream as server-sent events, at the client's pace.
 *
 * Backpressure: nothing more is pulled until the socket has taken the last bytes, so a slow reader costs no more than one
 * turn's events. A client whose time is over, and that reads nothing for some seconds more, is disconnected.
 *
 * Events that are there in the same turn of the event loop (the provider sent them in one packet) go out in one write, which
 * delays nothing. An error after the first byte is an event of its own, without `[DONE]`: only a stream that ended well has
 * that.
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
  /** One function for the whole stream: a promise and a callback for each chunk would cost more. */
  readonly #goOn = (): void => this.#pump();

  /** @param heartbeats  shared by all streams with this `heartbeatMs`; 0 = none */
  constructor(
    private readonly response: Response,
    private readonly heartbeatMs: number,
    private readonly heartbeats: Deadlines,
    /** How long a client may take to read the stream. */
    private readonly readMs: number,
  ) {}

  /** Sends the headers. From now on there is a `: ping` whenever nothing else was written for `heartbeatMs`. */
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
   * Begins to write the events. Does not throw: a failure becomes an event.
   *
   * @param events  JSON texts of one event or a run of them; iterated to the end, or until the client is gone
   * @param onOver  called once, when the stream has ended for whatever reason
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

  /** Nothing was written for a while. */
  onDue(): void {
    if (!this.#isOpen()) return;
    // A reader that has not taken the last bytes needs no ping.
    if (!this.response.writableNeedDrain) this.#text?.write(PING);
    this.#rest();
  }

  /** Writes what is there, and returns when there is more, or room for it. */
  #pump(): void {
    try {
      while (this.#isOpen()) {
        if (this.response.writableNeedDrain) return this.#awaitRoom();
        const json = this.#ready?.takeReady();
        if (json !== undefined) this.#gather(json);
        // Mostly that was all, so nothing more is asked for before waiting.
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

  /** One step that needs a promise: the next event, the end, or a failure. */
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

  /** A tick runs after all microtasks, and so after every event that is there already. */
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

  /** The time without a write starts now. */
  #rest(): void {
    if (this.heartbeatMs > 0) this.heartbeats.set(this, this.heartbeatMs);
  }
}

/** Calls back when the socket takes more, or is closed; it is closed if it takes nothing for `withinMs`. */
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
