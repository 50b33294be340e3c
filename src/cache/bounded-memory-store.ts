import type { KeyvStoreAdapter } from 'keyv';

/** Keyv's envelope around each value. */
const ENVELOPE_BYTES = 64;

/** A Keyv store in this process that forgets the least recently used entries beyond a number of bytes. */
export class BoundedMemoryStore implements KeyvStoreAdapter {
  readonly opts = {};
  namespace: string | undefined;
  readonly #entries = new Map<string, { value: unknown; bytes: number }>();
  #bytes = 0;

  constructor(private readonly maxBytes: number) {}

  on(): this {
    return this;
  }

  async get<Value>(key: string): Promise<Value | undefined> {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value as Value;
  }

  async set(key: string, value: unknown): Promise<boolean> {
    await this.delete(key);
    const bytes = key.length + ENVELOPE_BYTES + (typeof value === 'string' ? value.length * 2 : 0);
    if (bytes > this.maxBytes) return false;
    this.#entries.set(key, { value, bytes });
    this.#bytes += bytes;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.maxBytes) break;
      await this.delete(oldest);
    }
    return true;
  }

  async delete(key: string): Promise<boolean> {
    const entry = this.#entries.get(key);
    if (!entry) return false;
    this.#bytes -= entry.bytes;
    return this.#entries.delete(key);
  }

  async clear(): Promise<void> {
    this.#entries.clear();
    this.#bytes = 0;
  }
}
