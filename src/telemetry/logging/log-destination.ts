import { destination as openDestination } from 'pino';
import type { SonicBoom } from 'sonic-boom';

/** Each block is a hand-over to the thread pool, which costs as much as writing some twenty lines. */
const BUFFER_BYTES = 65_536;
/** What a reader that stopped reading may cost in memory; lines beyond it are dropped and counted. */
const MAX_BACKLOG_BYTES = 16 * 1024 * 1024;
const FLUSH_INTERVAL_MS = 200;

/**
 * Where log lines go: written in blocks by the thread pool, at the latest 200 ms after they were logged, and at exit.
 * A full disk or a closed pipe loses lines and is counted; it never stops the gateway.
 */
export class LogDestination {
  #lost = 0;
  readonly #stream: SonicBoom;

  /** @param file  a path, or `undefined` for stdout */
  constructor(private readonly file: string | undefined) {
    this.#stream = openDestination({
      dest: file ?? 1,
      sync: false,
      minLength: BUFFER_BYTES,
      maxWrite: 4 * BUFFER_BYTES,
      maxLength: MAX_BACKLOG_BYTES,
      periodicFlush: FLUSH_INTERVAL_MS,
      mkdir: true,
      append: true,
    });
    this.#stream.on('error', () => this.#lost++);
    this.#stream.on('drop', () => this.#lost++);
  }

  write(line: string): void {
    this.#stream.write(line);
  }

  /** Lines dropped and writes failed since the start. */
  get lost(): number {
    return this.#lost;
  }

  /** Blocks until everything is written; for a dying process. */
  flushSync(): void {
    try {
      this.#stream.flushSync();
    } catch {
      this.#lost++; // not open yet, or the disk is full: there is nowhere left to say so
    }
  }

  /** Resolves when what was logged so far is written, at the latest after `timeoutMs`. */
  flush(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#stream.flush(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** Opens the file anew after a log rotation moved it away; nothing to do for stdout. */
  reopen(): void {
    if (this.file !== undefined) this.#stream.reopen();
  }
}
