import { createSecretKey, type KeyObject } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { refusal } from './bearer-token.js';
import { type JwksAlgorithm, JwksKeys } from './jwks-keys.js';

/** Where a token's key came from; the issuer that is wanted depends on it. */
export type KeySource = 'secret' | 'jwks';

/** Headers by which a token would bring its own key, or ask for rules that are not implemented here. */
const REFUSED_HEADERS = ['jwk', 'jku', 'x5u', 'x5c', 'crit', 'b64', 'zip'];

/** Finds the key for a token: by its algorithm alone, and each key serves one algorithm. */
@Injectable()
export class TokenKeys {
  /** Accepted in the `alg` header; `none` and everything else is not. */
  readonly algorithms: readonly ('HS256' | 'HS384' | 'HS512' | JwksAlgorithm)[];
  // A KeyObject, not the text: jsonwebtoken would first try to read the text as a public key, at every call.
  readonly #secret: KeyObject | undefined;
  readonly #jwks: JwksKeys | undefined;

  constructor(@Inject(APP_CONFIG) private readonly config: Pick<AppConfig, 'auth'>) {
    const { secret, jwksUrl, algorithm } = config.auth;
    this.#secret = secret && createSecretKey(Buffer.from(secret.reveal(), 'utf8'));
    this.#jwks = jwksUrl === undefined ? undefined : new JwksKeys(jwksUrl);
    this.algorithms = [
      ...(this.#secret ? [algorithm] : []),
      ...(this.#jwks ? (['RS256', 'ES256'] as const) : []),
    ];
  }

  /**
   * @param token  three base64url parts, see `bearerToken`
   * @throws GatewayError  `invalid_token`, or `auth_unavailable` when the identity provider's keys cannot be had
   */
  async find(token: string): Promise<{ key: KeyObject; source: KeySource }> {
    const header = readHeader(token);
    if (this.#secret && header.alg === this.config.auth.algorithm)
      return { key: this.#secret, source: 'secret' };
    if (this.#jwks && (header.alg === 'RS256' || header.alg === 'ES256')) {
      return { key: await this.#jwks.keyFor(header.kid, header.alg), source: 'jwks' };
    }
    throw refusal('invalid_token', 'The token is signed with an algorithm that is not accepted.');
  }
}

function readHeader(token: string): { alg: string; kid: string | undefined } {
  const header = parseObject(Buffer.from(token.slice(0, token.indexOf('.')), 'base64url').toString('utf8'));
  const alg = header?.['alg'];
  const kid = header?.['kid'];
  const isReadable =
    header &&
    typeof alg === 'string' &&
    (kid === undefined || (typeof kid === 'string' && kid.length <= 256));
  if (!isReadable || REFUSED_HEADERS.some((name) => Object.hasOwn(header, name))) {
    throw refusal('invalid_token', 'The token has a header that is not accepted.');
  }
  return { alg, kid };
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}
