import { describe, expect, it } from 'vitest';
import type { Principal } from './principal.js';
import { tokenDigest, VerifiedTokens } from './verified-tokens.js';

const principal = (userId: string, expiresAt = 1_000_000): Principal => ({
  userId,
  role: 'user',
  models: undefined,
  tokenId: undefined,
  issuedAt: undefined,
  expiresAt,
});

describe('VerifiedTokens', () => {
  const clock = { now: 1_000_000 };
  const tokens = () => new VerifiedTokens(() => clock.now);

  it('answers for half a minute', () => {
    const verified = tokens();
    verified.keep('a', principal('alice'));
    clock.now += 29_999;
    expect(verified.get('a')?.userId).toBe('alice');
    clock.now += 1;
    expect(verified.get('a')).toBeUndefined();
    expect(verified.size).toBe(0);
  });

  it('never answers beyond the token’s exp', () => {
    const verified = tokens();
    verified.keep('a', principal('alice', clock.now / 1000 + 5));
    verified.keep('late', principal('alice', clock.now / 1000 - 5));
    expect(verified.get('late')).toBeUndefined();
    clock.now += 4999;
    expect(verified.get('a')).toBeDefined();
    clock.now += 1;
    expect(verified.get('a')).toBeUndefined();
  });

  it('does not trust a clock that was set back', () => {
    const verified = tokens();
    verified.keep('a', principal('alice'));
    clock.now -= 3_600_000;
    expect(verified.get('a')).toBeUndefined();
  });

  it('holds ten thousand, the newest ones', () => {
    const verified = tokens();
    for (let index = 0; index < 10_100; index++) verified.keep(`t${index}`, principal(`u${index}`));
    expect(verified.size).toBe(10_000);
    expect(verified.get('t99')).toBeUndefined();
    expect(verified.get('t100')?.userId).toBe('u100');
    expect(verified.get('t10099')?.userId).toBe('u10099');
  });

  it('tells tokens apart that share beginning and end', () => {
    const verified = tokens();
    const body = 'x'.repeat(500);
    for (let index = 0; index < 1000; index++) {
      verified.keep(tokenDigest(`${body}${index}${body}`), principal(`u${index}`));
    }
    for (let index = 0; index < 1000; index++) {
      expect(verified.get(tokenDigest(`${body}${index}${body}`))?.userId).toBe(`u${index}`);
    }
  });
});
