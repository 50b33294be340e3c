import { createSecretKey, randomUUID } from 'node:crypto';
import { resolve } from 'node:path';
import jwt from 'jsonwebtoken';
import { USER_ID } from '../auth/principal.js';
import type { AppConfig } from '../config/app-config.js';
import { authSettings } from '../config/auth-settings.js';
import { ConfigurationError } from '../config/configuration-error.js';
import { currentEnvironment } from '../config/environment-file.js';
import { type RawEnvironment, readEnvironmentVariables, withoutBlanks } from '../config/environment.js';
import { Findings } from '../config/findings.js';
import { readStoredSecret } from '../config/jwt-secret.js';
import { withSecretFiles } from '../config/secret-files.js';
import { type Output, readOptions, UsageError } from './command.js';

/** Ten years. */
const MAX_MINUTES = 5_256_000;
/** The variables that a token depends on; faults of others are for `check:env`. */
const OWN_VARIABLES = /^(JWT_|ENVIRONMENT|DATA_DIR|SUPABASE_URL)/;

interface TokenOptions {
  readonly user: string;
  readonly role: 'user' | 'admin';
  readonly expiresInMinutes: number | undefined;
  readonly models: readonly string[] | undefined;
}

/** Prints one JWT and nothing else, signed as the gateway of the same environment expects it. */
export async function tokenCommand(args: readonly string[], output: Output): Promise<number> {
  const options = readTokenOptions(args);
  const auth = readAuthSettings(currentEnvironment());
  output.out(signToken(options, auth));
  return 0;
}

function readTokenOptions(args: readonly string[]): TokenOptions {
  const {
    user,
    role,
    'expires-in': expiresIn,
    models,
  } = readOptions(args, ['user', 'role', 'expires-in', 'models']);
  if (user === undefined || !USER_ID.test(user)) {
    throw new UsageError('--user must be 1 to 128 characters of A-Z a-z 0-9 . _ : @ | -');
  }
  if (role !== undefined && role !== 'user' && role !== 'admin')
    throw new UsageError('--role must be user or admin');
  return { user, role: role ?? 'user', expiresInMinutes: minutes(expiresIn), models: list(models) };
}

function minutes(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = /^\d{1,7}(\.\d{1,6})?$/.test(text) ? Number(text) : 0;
  if (value > 0 && value <= MAX_MINUTES) return value;
  throw new UsageError(`--expires-in must be a number of minutes above 0, at most ${MAX_MINUTES}`);
}

function list(text: string | undefined): string[] | undefined {
  const names = text
    ?.split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  if (names?.length === 0) throw new UsageError('--models must name at least one model');
  return names;
}

/** @throws ConfigurationError  when there is no secret to sign with, or one that the gateway would refuse */
function readAuthSettings(raw: RawEnvironment): AppConfig['auth'] {
  const { variables, faults: unread } = withSecretFiles(withoutBlanks(raw), ['JWT_SECRET_KEY']);
  if (unread.size > 0) throw new ConfigurationError([...unread.values()]);
  const { environment, faults } = readEnvironmentVariables(variables);
  const findings = new Findings();
  const dataDir = resolve(environment.DATA_DIR);
  const auth = authSettings(environment, dataDir, findings, { create: true });
  const own = [...faults.filter((fault) => OWN_VARIABLES.test(fault)), ...findings.faults];
  if (own.length > 0) throw new ConfigurationError(own);
  if (!auth.secret)
    throw new ConfigurationError([
      'JWT_SECRET_KEY: is not set; tokens come from the identity provider of JWT_JWKS_URL',
    ]);
  if (environment.JWT_SECRET_KEY === undefined && readStoredSecret(dataDir) !== auth.secret.reveal()) {
    throw new ConfigurationError(['JWT_SECRET_KEY: is not set, and no secret can be kept in DATA_DIR']);
  }
  return auth;
}

function signToken(options: TokenOptions, auth: AppConfig['auth']): string {
  const issuedAt = Math.floor(Date.now() / 1000);
  const claims = {
    sub: options.user,
    role: options.role,
    ...(options.models && { models: options.models }),
    iat: issuedAt,
    exp: issuedAt + Math.ceil((options.expiresInMinutes ?? auth.accessTokenExpireMinutes) * 60),
    jti: randomUUID(),
    ...(auth.issuer !== undefined && { iss: auth.issuer }),
    ...(auth.audience !== undefined && { aud: auth.audience }),
  };
  const key = createSecretKey(Buffer.from(auth.secret?.reveal() ?? '', 'utf8'));
  return jwt.sign(claims, key, { algorithm: auth.algorithm });
}
