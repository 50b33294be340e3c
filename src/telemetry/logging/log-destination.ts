import { destination as openDestination } from 'pino';
import type { SonicBoom } from 'sonic-boom';

/** Each block is a hand-over to the thread pool, which costs as much as writing some twenty lines. */
const BLOCK_LENGTH = 32_768;
/** What a reader that stopped reading may cost in memory; lines beyond it are dropped and counted. */
const MAX_BACKLOG_BYTES = 16 * 1024 * 1024;
const FLUSH_INTERVAL_MS = 200;
/** At once; but with 0 the stream's `flush` would wait for nothing. */
const WRITES_AT_ONCE = 1;

/** The stream writes at exit what it has; what waits here it does not know of. */
const open = new Set<LogDestination>();
process.once('exit', () => {
  for (const destination of open) destination.flushSync();
});

/** Its types leave out how much it gathers before it writes. */
type BlockStream = SonicBoom & { minLength: number };

/**
 * Where log lines go: written in blocks by the thread pool, at the latest 200 ms after they were logged, and at exit.
 * A full disk or a closed pipe loses lines and is counted; it never stops the gateway.
 */
export class LogDestination {
  #lost = 0;
  readonly #stream: BlockStream;
  /** The lines of the next block. In a list: the stream's own buffer is a string that is copied with every line. */
  #lines: string[] = [];
  #length = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param file  a path, or `undefined` for stdout */
  constructor(private readonly file: string | undefined) {
    this.#stream = openDestination({
      dest: file ?? 1,
      sync: false,
      minLength: WRITES_AT_ONCE,
      maxWrite: 2 * BLOCK_LENGTH,
      maxLength: MAX_BACKLOG_BYTES,
      mkdir: true,
      append: true,
    }) as BlockStream;
    open.add(this);
    this.#stream.on('error', () => this.#lost++);
    this.#stream.on('drop', (block: string) => (this.#lost += block.split('\n').length - 1));
  }

  write(line: string): void {
    this.#lines.push(line);
    this.#length += line.length;
    if (this.#length >= BLOCK_LENGTH) this.#handOver();
    else this.#timer ??= setTimeout(() => this.#handOver(), FLUSH_INTERVAL_MS).unref();
  }

  /** Lines dropped and writes failed since the start. */
  get lost(): number {
    return this.#lost;
  }

  /** Blocks until everything is written; for a dying process. */
  flushSync(): void {
    // Else the block would go to the thread pool, which a dying process does not wait for.
    this.#stream.minLength = Number.MAX_SAFE_INTEGER;
    this.#handOver();
    this.#stream.minLength = WRITES_AT_ONCE;
    try {
      this.#stream.flushSync();
    } catch {
      this.#lost++; // not open yet, or the disk is full: there is nowhere left to say so
    }
  }

  /** Resolves when what was logged so far is written, at the latest after `timeoutMs`. */
  flush(timeoutMs: number): Promise<void> {
    this.#handOver();
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
    this.#handOver();
    if (this.file !== undefined) this.#stream.reopen();
  }

  #handOver(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#lines.length === 0) return;
    const block = this.#lines.join('');
    this.#lines = [];
    this.#length = 0;
    this.#stream.write(block);
  }
}
