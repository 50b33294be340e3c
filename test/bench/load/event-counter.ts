const LF = 10;
const EVENT_END = Buffer.from('\n\n');
const DONE = Buffer.from('[DONE]');

/** Counts the events of a stream and notices its `[DONE]`, wherever the bytes are cut. */
export class EventCounter {
  events = 0;
  isDone = false;
  /** The last byte was a line's end that no event has used yet. */
  #hasOpenLine = false;
  #tail = '';

  take(bytes: Buffer): void {
    let at = 0;
    if (this.#hasOpenLine && bytes[0] === LF) {
      this.events++;
      at = 1;
    }
    for (let end = bytes.indexOf(EVENT_END, at); end >= 0; end = bytes.indexOf(EVENT_END, at)) {
      this.events++;
      at = end + EVENT_END.length;
    }
    this.#hasOpenLine = bytes.length > at && bytes[bytes.length - 1] === LF;
    if (!this.isDone) this.#lookForDone(bytes);
  }

  #lookForDone(bytes: Buffer): void {
    const kept = DONE.length - 1;
    this.isDone = bytes.includes(DONE) || (this.#tail + bytes.toString('latin1', 0, kept)).includes('[DONE]');
    this.#tail = (this.#tail + bytes.toString('latin1', Math.max(0, bytes.length - kept))).slice(-kept);
  }
}
