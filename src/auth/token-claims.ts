import { type Principal, USER_ID } from './principal.js';
import { refusal } from './bearer-token.js';

/** Clocks of the gateway and of whoever signs may differ by this much. */
export const LEEWAY_SECONDS = 60;

/** The form of a `jti`. */
export const TOKEN_ID = /^[\x21-\x7e]{1,256}$/;
const MODEL = /^[\x21-\x7e]{1,200}$/;
const MAX_MODELS = 500;

/**
 * The claims of a token whose signature, `exp`, `nbf`, `iss` and `aud` were verified -> who asks.
 *
 * A role that is not ours (Supabase says `authenticated`) is an ordinary user's; a claim of the wrong type is refused.
 *
 * @throws GatewayError  `invalid_token`
 */
export function toPrincipal(claims: unknown, nowSeconds: number): Principal {
  if (typeof claims !== 'object' || claims === null || Array.isArray(claims)) throw invalid('has no claims');
  const claim = (name: string): unknown =>
    Object.hasOwn(claims, name) ? Reflect.get(claims, name) : undefined;
  return Object.freeze({
    userId: userId(claim('sub')),
    role: role(claim('role')),
    models: models(claim('models')),
    tokenId: tokenId(claim('jti')),
    issuedAt: issuedAt(claim('iat'), nowSeconds),
    expiresAt: expiresAt(claim('exp')),
  });
}

function userId(sub: unknown): string {
  if (typeof sub === 'string' && USER_ID.test(sub)) return sub;
  throw invalid('has no valid `sub`');
}

function role(value: unknown): Principal['role'] {
  if (value !== undefined && typeof value !== 'string') throw invalid('has a `role` that is not text');
  return value === 'admin' ? 'admin' : 'user';
}

function models(value: unknown): Principal['models'] {
  if (value === undefined) return undefined;
  const isList = Array.isArray(value) && value.length <= MAX_MODELS;
  if (!isList || !value.every((name): name is string => typeof name === 'string' && MODEL.test(name))) {
    throw invalid('has a `models` that is not a list of names');
  }
  return Object.freeze([...value]);
}

function tokenId(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'string' && TOKEN_ID.test(value)) return value;
  throw invalid('has a `jti` that is not text');
}

/** A token from the future would outlive a revocation of everything issued until now. */
function issuedAt(value: unknown, nowSeconds: number): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'number' && value >= 0 && value <= nowSeconds + LEEWAY_SECONDS) return value;
  throw invalid('has an invalid `iat`');
}

/** JSON knows numbers such as 1e999, which JavaScript reads as Infinity. */
function expiresAt(value: unknown): number {
  if (typeof value === 'number' && value > 0 && value <= Number.MAX_SAFE_INTEGER) return value;
  throw invalid('has no valid `exp`');
}

function invalid(what: string): Error {
  return refusal('invalid_token', `The token ${what}.`);
}
