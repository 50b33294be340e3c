import type { Redis } from 'ioredis';
import { BoundedMemory } from './bounded-memory.js';

/** After a failure Redis is left alone for so long: a frozen one must not cost every request its timeout. */
const PAUSE_MS = 1000;
const PREFIX = 'llm-gateway:answers:';

/** Texts under keys, for a time. A store that fails has nothing and keeps nothing; it never throws. */
export interface AnswerStore {
  get(key: string): Promise<string | undefined>;
  set(key: string, text: string, ttlMs: number): Promise<void>;
}

export class MemoryAnswerStore implements AnswerStore {
  readonly #memory: BoundedMemory;

  constructor(maxBytes: number) {
    this.#memory = new BoundedMemory(maxBytes);
  }

  get(key: string): Promise<string | undefined> {
    return Promise.resolve(this.#memory.get(key));
  }

  set(key: string, text: string, ttlMs: number): Promise<void> {
    this.#memory.set(key, text, ttlMs);
    return Promise.resolve();
  }
}

/** Straight through ioredis: the cache-manager chain costs 2.6 times as much on this path. */
export class RedisAnswerStore implements AnswerStore {
  #pausedUntilMs = 0;

  /** @param onError  told of each failure that was not skipped */
  constructor(
    private readonly redis: Redis,
    private readonly onError: () => void,
  ) {}

  async get(key: string): Promise<string | undefined> {
    return (await this.#try(() => this.redis.get(PREFIX + key))) ?? undefined;
  }

  async set(key: string, text: string, ttlMs: number): Promise<void> {
    await this.#try(() => this.redis.set(PREFIX + key, text, 'PX', Math.ceil(ttlMs)));
  }

  async #try<T>(work: () => Promise<T>): Promise<T | undefined> {
    if (performance.now() < this.#pausedUntilMs) return undefined;
    try {
      return await work();
    } catch {
      this.#pausedUntilMs = performance.now() + PAUSE_MS;
      this.onError();
      return undefined;
    }
  }
}
