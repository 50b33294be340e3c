import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { countBounded, type Encoding } from './bounded-count.js';
import type { CountAnswer, CountQuestion } from './count-thread.js';

const THREAD = new URL(`./count-thread${extname(import.meta.filename)}`, import.meta.url);

interface Waiter {
  resolve(tokens: number): void;
  reject(reason: unknown): void;
}

/**
 * Tokens of a text, counted in a thread. Loading a vocabulary takes a sixth of a second and 70 MB, counting a long text up
 * to as long, and meanwhile no stream would get its next chunk. The thread starts with the first call.
 *
 * When the thread fails the text is counted here, since a charge may depend on it.
 */
export async function countTokens(text: string, encoding: Encoding): Promise<number> {
  if (text === '') return 0;
  try {
    thread ??= new CountThread((ended) => {
      if (thread === ended) thread = undefined;
    });
    return await thread.count(text, encoding);
  } catch {
    return countBounded(text, encoding);
  }
}

let thread: CountThread | undefined;

class CountThread {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiter>();
  #lastId = 0;

  constructor(private readonly onEnd: (thread: CountThread) => void) {
    // Nothing of the process's settings or secrets concerns it.
    this.#worker = new Worker(THREAD, { env: {}, execArgv: [], name: 'token-counts' });
    this.#worker.unref();
    this.#worker.on('message', (answer: CountAnswer) => this.#take(answer));
    this.#worker.on('error', (error) => this.#end(error));
    this.#worker.on('exit', () => this.#end(new Error('the thread that counts tokens has ended')));
  }

  count(text: string, encoding: Encoding): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#lastId += 1;
      this.#waiting.set(this.#lastId, { resolve, reject });
      // The process lives until it has its answer.
      this.#worker.ref();
      this.#worker.postMessage({ id: this.#lastId, text, encoding } satisfies CountQuestion);
    });
  }

  #take({ id, tokens }: CountAnswer): void {
    const waiter = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (this.#waiting.size === 0) this.#worker.unref();
    waiter?.resolve(tokens);
  }

  #end(reason: unknown): void {
    this.onEnd(this);
    for (const { reject } of this.#waiting.values()) reject(reason);
    this.#waiting.clear();
  }
}
