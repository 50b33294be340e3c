import jwt from 'jsonwebtoken';

/** Secret of the gateways that `startGateway` starts, unless the test gives another. */
export const TEST_JWT_SECRET = 'a-test-secret-that-is-long-enough-for-hs256-0123456789';

export interface TokenClaims {
  /** The user. */
  readonly sub: string;
  readonly role?: 'user' | 'admin';
  /** Models the token may use. */
  readonly models?: readonly string[];
  readonly jti?: string;
  /** Negative = expired already. */
  readonly expiresInSeconds?: number;
  /** Further claims, also wrong ones. */
  readonly [claim: string]: unknown;
}

/** A JWT that the gateway under test accepts (HS256). */
export function mintToken(claims: TokenClaims, secret = TEST_JWT_SECRET): string {
  const { expiresInSeconds = 3_600, ...payload } = claims;
  const exp = Math.floor(Date.now() / 1_000) + expiresInSeconds;
  return jwt.sign({ exp, ...payload }, secret, { algorithm: 'HS256' });
}
