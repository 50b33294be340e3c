interface Entry {
  readonly text: string;
  readonly expiresAtMs: number;
}

/** Texts with a lifetime, at most so many bytes of them; the longest unused goes first. Time is monotonic. */
export class BoundedMemory {
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  constructor(
    private readonly maxBytes: number,
    private readonly now: () => number = () => performance.now(),
  ) {}

  get(key: string): string | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    if (entry.expiresAtMs <= this.now()) {
      this.delete(key);
      return undefined;
    }
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.text;
  }

  set(key: string, text: string, ttlMs: number): void {
    this.delete(key);
    const bytes = sizeOf(key, text);
    if (bytes > this.maxBytes) return;
    this.#bytes += bytes;
    this.#entries.set(key, { text, expiresAtMs: this.now() + ttlMs });
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.maxBytes) break;
      this.delete(oldest);
    }
  }

  delete(key: string): boolean {
    const entry = this.#entries.get(key);
    if (!entry) return false;
    this.#bytes -= sizeOf(key, entry.text);
    return this.#entries.delete(key);
  }

  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
  }

  get bytes(): number {
    return this.#bytes;
  }
}

/** What V8 keeps at most: two bytes per UTF-16 unit, and the entry around it. */
const ENTRY_BYTES = 200;

function sizeOf(key: string, text: string): number {
  return 2 * (key.length + text.length) + ENTRY_BYTES;
}
