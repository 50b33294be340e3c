import { Injectable } from '@nestjs/common';
import type { Principal } from './principal.js';

export interface Revocation {
  /** One token, or everything a user was given until then. */
  readonly kind: 'jti' | 'sub';
  readonly value: string;
  /** Tokens issued until then; unix seconds, with fraction. */
  readonly revokedAt: number;
}

/** The revocations this process knows of. Asked for every request, so it is memory only; `RevocationSync` fills it. */
@Injectable()
export class RevokedTokens {
  readonly #tokenIds = new Set<string>();
  readonly #users = new Map<string, number>();

  add(revocation: Revocation): void {
    if (revocation.kind === 'jti') this.#tokenIds.add(revocation.value);
    else
      this.#users.set(
        revocation.value,
        Math.max(revocation.revokedAt, this.#users.get(revocation.value) ?? 0),
      );
  }

  /** A token without `iat` counts as old. `iat` has whole seconds: one of the revocation's own second is revoked too. */
  isRevoked(principal: Principal): boolean {
    if (principal.tokenId !== undefined && this.#tokenIds.has(principal.tokenId)) return true;
    const revokedAt = this.#users.get(principal.userId);
    return revokedAt !== undefined && (principal.issuedAt ?? 0) <= revokedAt;
  }
}
