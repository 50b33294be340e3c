import { expect, it } from 'vitest';
import type { Principal } from './principal.js';
import { RevokedTokens } from './revoked-tokens.js';

const issued = (issuedAt: number | undefined, tokenId?: string) =>
  ({ userId: 'ann', issuedAt, tokenId }) as Principal;

it('a revocation takes what was issued until then, its own second too, and an older one takes nothing back', () => {
  const revoked = new RevokedTokens();
  revoked.add({ kind: 'sub', value: 'ann', revokedAt: 100 });
  revoked.add({ kind: 'sub', value: 'ann', revokedAt: 50 });
  revoked.add({ kind: 'jti', value: 'one', revokedAt: 0 });
  const tokens = [
    issued(99),
    issued(100),
    issued(101),
    issued(undefined),
    issued(101, 'one'),
    issued(101, 'two'),
  ];
  expect(tokens.map((token) => revoked.isRevoked(token))).toEqual([true, true, false, true, true, false]);
});
