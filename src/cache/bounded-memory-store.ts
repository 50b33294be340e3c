import type { KeyvStoreAdapter } from 'keyv';
import { BoundedMemory } from './bounded-memory.js';

/** `BoundedMemory` as Keyv wants a store. Keyv's values are texts: it has serialized them. */
export class BoundedMemoryStore implements KeyvStoreAdapter {
  readonly opts = {};
  namespace: string | undefined;
  readonly #memory: BoundedMemory;

  constructor(maxBytes: number) {
    this.#memory = new BoundedMemory(maxBytes);
  }

  on(): this {
    return this;
  }

  async get<Value>(key: string): Promise<Value | undefined> {
    return this.#memory.get(key) as Value | undefined;
  }

  async set(key: string, text: string, ttlMs = Infinity): Promise<boolean> {
    this.#memory.set(key, text, ttlMs);
    return true;
  }

  async delete(key: string): Promise<boolean> {
    return this.#memory.delete(key);
  }

  async clear(): Promise<void> {
    this.#memory.clear();
  }
}
