import { GatewayError } from '@app/contracts';
import { describe, expect, it } from 'vitest';
import { bearerToken } from './bearer-token.js';
import { toPrincipal } from './token-claims.js';

const NOW = 1_800_000_000;
const CLAIMS = { sub: 'ann', exp: NOW + 60 };

function refusalOf(work: () => unknown): unknown {
  try {
    work();
    return 'accepted';
  } catch (error) {
    if (!(error instanceof GatewayError)) return error;
    return [error.code, error.message, error.headers['WWW-Authenticate']];
  }
}

const CHALLENGE = 'Bearer realm="llm-gateway", error="invalid_token"';

describe('toPrincipal', () => {
  it.each([
    [null, 'has no claims'],
    ['text', 'has no claims'],
    [[], 'has no claims'],
    [{ exp: NOW }, 'has no valid `sub`'],
    [{ ...CLAIMS, role: 1 }, 'has a `role` that is not text'],
    [{ ...CLAIMS, models: Array(501).fill('m') }, 'has a `models` that is not a list of names'],
    [{ ...CLAIMS, models: ['a b'] }, 'has a `models` that is not a list of names'],
    [{ ...CLAIMS, jti: '' }, 'has a `jti` that is not text'],
    [{ ...CLAIMS, iat: NOW + 61 }, 'has an invalid `iat`'],
    [{ ...CLAIMS, iat: -1 }, 'has an invalid `iat`'],
    [{ ...CLAIMS, iat: '5' }, 'has an invalid `iat`'],
    [{ ...CLAIMS, exp: Infinity }, 'has no valid `exp`'],
    [{ ...CLAIMS, exp: 0 }, 'has no valid `exp`'],
    [{ ...CLAIMS, exp: '5' }, 'has no valid `exp`'],
  ])('refuses %j: it %s', (claims, what) => {
    expect(refusalOf(() => toPrincipal(claims, NOW))).toEqual([
      'invalid_token',
      `The token ${what}.`,
      CHALLENGE,
    ]);
  });

  it('takes what is just within bounds', () => {
    const models = Array<string>(500).fill('m');
    expect(toPrincipal({ ...CLAIMS, iat: NOW + 60, models }, NOW)).toMatchObject({
      issuedAt: NOW + 60,
      models,
    });
    expect(toPrincipal({ ...CLAIMS, iat: 0 }, NOW).issuedAt).toBe(0);
  });
});

describe('bearerToken', () => {
  it.each([undefined, '', 'Bearer', 'a.b.c', 'Basic Bearer a.b.c'])('finds no token in %j', (header) => {
    expect(refusalOf(() => bearerToken(header))).toEqual([
      'missing_token',
      expect.any(String),
      'Bearer realm="llm-gateway"',
    ]);
  });

  it.each(['Bearer sk-123', 'Bearer a.b.c d', 'Bearer !a.b.c', `Bearer a.b.${'c'.repeat(8189)}`])(
    'refuses what is no token: %j',
    (header) => {
      expect(refusalOf(() => bearerToken(header))).toEqual(['invalid_token', expect.any(String), CHALLENGE]);
    },
  );

  it('reads one after the scheme in any case, after any number of spaces', () => {
    const longest = `a.b.${'c'.repeat(8188)}`;
    expect(bearerToken(`bEARER   ${longest}`)).toBe(longest);
  });
});
