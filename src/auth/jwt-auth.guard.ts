import { GatewayError } from '@app/contracts';
import { type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { AuthGuard } from '@nestjs/passport';
import type { Request } from 'express';
import { type Decorated, RouteMemory } from '../edge/route-memory.js';
import { Telemetry } from '../telemetry/telemetry.js';
import { IS_ADMIN_ONLY } from './admin-only.decorator.js';
import { refusal } from './bearer-token.js';
import type { Principal } from './principal.js';
import { IS_PUBLIC } from './public.decorator.js';
import { RevokedTokens } from './revoked-tokens.js';
import { tokenDigest, VerifiedTokens } from './verified-tokens.js';

interface RouteRules {
  readonly isPublic: boolean;
  readonly isAdminOnly: boolean;
}

/**
 * Nobody passes without a valid token, except on routes marked `@Public()`. Writes `context.principal`.
 *
 * passport-jwt verifies a token the first time; for half a minute after that its digest answers. Revocations are asked
 * for every time. Whatever goes wrong while a token is checked is a refusal: 401, or 503 when it is not the token's fault.
 */
@Injectable()
export class JwtAuthGuard extends AuthGuard('jwt') {
  readonly #verified = new VerifiedTokens();
  readonly #rules = new RouteMemory((decorated) => this.#readRules(decorated));

  constructor(
    private readonly reflector: Reflector,
    private readonly revoked: RevokedTokens,
    private readonly telemetry: Telemetry,
  ) {
    super();
  }

  override canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    const rules = this.#rules.of(context);
    if (rules.isPublic) return true;
    const request = context.switchToHttp().getRequest<Request>();
    let known: Principal | undefined;
    try {
      const { authorization } = request.headers;
      // Of the whole header: what was verified a moment ago need not be taken apart to be known again.
      const digest = tokenDigest(authorization ?? '');
      known = this.#verified.get(digest);
      if (known) return this.#admit(request, known, rules);
      return this.#verify(context, request, digest, rules);
    } catch (error) {
      throw this.#refused(request, error, known);
    }
  }

  async #verify(
    context: ExecutionContext,
    request: Request,
    digest: string,
    rules: RouteRules,
  ): Promise<boolean> {
    let principal: Principal | undefined;
    try {
      await super.canActivate(context);
      principal = principalOf(request.user);
      this.#verified.keep(digest, principal);
      return this.#admit(request, principal, rules);
    } catch (error) {
      throw this.#refused(request, error, principal);
    }
  }

  /** Passport's verdict. `info` says why there is no user. */
  override handleRequest<User>(error: unknown, user: User | false | undefined, info: unknown): User {
    if (error) throw error;
    if (user) return user;
    if (info instanceof GatewayError) throw info;
    const name = info instanceof Error ? info.name : '';
    if (name === 'TokenExpiredError')
      throw refusal('token_expired', 'The token has expired. Get a new one.', info);
    if (name === 'NotBeforeError') throw refusal('invalid_token', 'The token is not valid yet.', info);
    throw refusal(
      'invalid_token',
      'The token is not valid here: its signature, algorithm, issuer and audience must match the configuration.',
      info,
    );
  }

  #admit(request: Request, principal: Principal, rules: RouteRules): true {
    if (this.revoked.isRevoked(principal)) throw refusal('invalid_token', 'The token has been revoked.');
    if (rules.isAdminOnly && principal.role !== 'admin') {
      throw new GatewayError('admin_only', 'This requires a token with the role "admin".');
    }
    request.gateway.principal = principal;
    request.gateway.authenticatedAtMs = performance.now();
    return true;
  }

  /** An error that is none of ours is not the token's fault, and never lets anybody in. */
  #refused(request: Request, error: unknown, principal: Principal | undefined): GatewayError {
    const refused =
      error instanceof GatewayError
        ? error
        : new GatewayError('auth_unavailable', 'Tokens cannot be verified at the moment. Try again later.', {
            cause: error,
          });
    const { requestId, clientAddress } = request.gateway;
    if (refused !== error)
      this.telemetry.event({ kind: 'unexpected-error', where: 'auth', requestId, error });
    this.telemetry.event({
      kind: 'auth-failure',
      code: refused.code,
      method: request.method,
      path: request.gateway.path,
      requestId,
      clientAddress,
      userId: principal?.userId,
    });
    return refused;
  }

  #readRules(decorated: Decorated): RouteRules {
    const says = (key: symbol): boolean =>
      this.reflector.getAllAndOverride<boolean | undefined>(key, decorated) === true;
    return { isPublic: says(IS_PUBLIC), isAdminOnly: says(IS_ADMIN_ONLY) };
  }
}

function principalOf(user: unknown): Principal {
  if (typeof user === 'object' && user !== null && 'userId' in user) return user as Principal;
  throw new Error('the JWT strategy gave no principal');
}
