import type { AppConfig } from './app-config.js';
import type { Environment } from './environment.js';
import {
  createStoredSecret,
  randomSecret,
  readStoredSecret,
  secretWeakness,
  storedSecretPath,
} from './jwt-secret.js';
import type { Findings } from './findings.js';
import { Secret } from './secret.js';

/** The part of the configuration that tokens need. `create`: a missing secret is made and kept (never in production). */
export function authSettings(
  environment: Environment,
  dataDir: string,
  findings: Findings,
  options: { create: boolean },
): AppConfig['auth'] {
  const supabase = environment.SUPABASE_URL?.replace(/\/+$/, '');
  const jwksUrl = environment.JWT_JWKS_URL ?? (supabase && `${supabase}/auth/v1/.well-known/jwks.json`);
  if (jwksUrl && environment.ENVIRONMENT === 'production') warnOfPlainHttp(jwksUrl, findings);
  const secret = signingSecret(environment, dataDir, jwksUrl !== undefined, findings, options);
  return {
    secret: secret === undefined ? undefined : new Secret(secret),
    algorithm: environment.JWT_ALGORITHM,
    accessTokenExpireMinutes: environment.JWT_ACCESS_TOKEN_EXPIRE_MINUTES,
    jwksUrl,
    issuer: environment.JWT_ISSUER,
    jwksIssuer:
      environment.JWT_ISSUER ?? (environment.JWT_JWKS_URL ? undefined : supabase && `${supabase}/auth/v1`),
    audience: environment.JWT_AUDIENCE,
  };
}

function signingSecret(
  environment: Environment,
  dataDir: string,
  hasJwks: boolean,
  findings: Findings,
  options: { create: boolean },
): string | undefined {
  const given = environment.JWT_SECRET_KEY;
  if (environment.ENVIRONMENT === 'production') return productionSecret(given, hasJwks, findings);
  if (given !== undefined) {
    const weakness = secretWeakness(given);
    if (weakness)
      findings.warn(`JWT_SECRET_KEY: ${weakness}; ENVIRONMENT=production would not start with it`);
    return given;
  }
  const stored = readStoredSecret(dataDir);
  if (stored !== undefined || hasJwks) return stored;
  return options.create ? keptSecret(dataDir, findings) : undefined;
}

function productionSecret(
  given: string | undefined,
  hasJwks: boolean,
  findings: Findings,
): string | undefined {
  if (given === undefined) {
    if (!hasJwks) findings.fault('JWT_SECRET_KEY: is required in production (or JWT_JWKS_URL)');
    return undefined;
  }
  const weakness = secretWeakness(given);
  if (weakness) findings.fault(`JWT_SECRET_KEY: ${weakness}`);
  return given;
}

function keptSecret(dataDir: string, findings: Findings): string {
  try {
    const secret = createStoredSecret(dataDir);
    findings.warn(
      `JWT_SECRET_KEY: is not set; tokens are signed with the secret kept in ${storedSecretPath(dataDir)}. Not for production.`,
    );
    return secret;
  } catch {
    findings.warn(
      'JWT_SECRET_KEY: is not set and DATA_DIR cannot be written; tokens become invalid when this process ends',
    );
    return randomSecret();
  }
}

function warnOfPlainHttp(jwksUrl: string, findings: Findings): void {
  if (new URL(jwksUrl).protocol === 'http:') {
    findings.warn('JWT_JWKS_URL: is plain http; anyone who can answer for that host can forge tokens');
  }
}
