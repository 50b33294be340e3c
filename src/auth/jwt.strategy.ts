import { Inject, Injectable } from '@nestjs/common';
import { PassportStrategy } from '@nestjs/passport';
import type { Request } from 'express';
import { type SecretOrKeyProvider, Strategy, type StrategyOptionsWithRequest } from 'passport-jwt';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { bearerToken, refusal } from './bearer-token.js';
import type { Principal } from './principal.js';
import { LEEWAY_SECONDS, toPrincipal } from './token-claims.js';
import { type KeySource, TokenKeys } from './token-keys.js';

type AuthConfig = Pick<AppConfig, 'auth'>;

/** Verifies a token's signature, times, issuer and audience, and reads its claims. Asked once per token and half minute. */
@Injectable()
export class JwtStrategy extends PassportStrategy(Strategy, 'jwt') {
  readonly #sources: WeakMap<object, KeySource>;

  constructor(
    keys: TokenKeys,
    @Inject(APP_CONFIG) private readonly config: AuthConfig,
  ) {
    const sources = new WeakMap<object, KeySource>();
    super(strategyOptions(keys, sources, config));
    this.#sources = sources;
  }

  /** Called with verified claims only. */
  validate(request: Request, claims: unknown): Principal {
    const principal = toPrincipal(claims, Math.floor(Date.now() / 1000));
    const { jwksIssuer } = this.config.auth;
    const issuer: unknown = Reflect.get(Object(claims), 'iss');
    if (this.#sources.get(request) === 'jwks' && jwksIssuer !== undefined && issuer !== jwksIssuer) {
      throw refusal('invalid_token', 'The token was issued by another issuer than the configured one.');
    }
    return principal;
  }
}

function strategyOptions(
  keys: TokenKeys,
  sources: WeakMap<object, KeySource>,
  { auth }: AuthConfig,
): StrategyOptionsWithRequest {
  return {
    jwtFromRequest: (request) => bearerToken(request.headers.authorization),
    secretOrKeyProvider: keyProvider(keys, sources),
    algorithms: [...keys.algorithms],
    issuer: auth.issuer,
    audience: auth.audience,
    jsonWebTokenOptions: { clockTolerance: LEEWAY_SECONDS },
    passReqToCallback: true,
  };
}

/** Every way out calls `done`: a request whose key could not be found must not wait for ever. */
function keyProvider(keys: TokenKeys, sources: WeakMap<object, KeySource>): SecretOrKeyProvider {
  return async (request: object, token: string, done: (error: unknown, key?: string | Buffer) => void) => {
    try {
      const { key, source } = await keys.find(token);
      sources.set(request, source);
      // The types know texts and buffers only; jsonwebtoken takes a KeyObject as it is.
      done(null, key as unknown as Buffer);
    } catch (error) {
      done(error);
    }
  };
}
