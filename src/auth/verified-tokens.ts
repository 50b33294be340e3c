import { hash } from 'node:crypto';
import type { Principal } from './principal.js';

const KEEP_MS = 30_000;
const MAX_ENTRIES = 10_000;

interface Verified {
  readonly principal: Principal;
  readonly untilMs: number;
}

/**
 * Tokens that were verified a moment ago. The key is the digest of the whole header, signature included, so no two
 * tokens share an entry. An entry lives at most half a minute, never beyond the token's `exp`, and the oldest makes room.
 */
export class VerifiedTokens {
  readonly #entries = new Map<string, Verified>();

  /** @param nowMs  the wall clock: `exp` is measured with it */
  constructor(private readonly nowMs: () => number = Date.now) {}

  get(digest: string): Principal | undefined {
    const entry = this.#entries.get(digest);
    if (!entry) return undefined;
    const now = this.nowMs();
    // A clock that was set back must not make an entry live longer.
    if (now < entry.untilMs && now >= entry.untilMs - KEEP_MS) return entry.principal;
    this.#entries.delete(digest);
    return undefined;
  }

  keep(digest: string, principal: Principal): void {
    const now = this.nowMs();
    const untilMs = Math.min(now + KEEP_MS, principal.expiresAt * 1000);
    if (this.#entries.size >= MAX_ENTRIES) this.#dropOldest();
    this.#entries.set(digest, { principal, untilMs });
  }

  get size(): number {
    return this.#entries.size;
  }

  #dropOldest(): void {
    const oldest = this.#entries.keys().next();
    if (!oldest.done) this.#entries.delete(oldest.value);
  }
}

/** @param authorization  the header's value, token and all */
export function tokenDigest(authorization: string): string {
  return hash('sha256', authorization, 'base64');
}
