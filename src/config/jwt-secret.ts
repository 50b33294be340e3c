import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** RFC 7518, section 3.2: an HS256 key has at least the size of its hash. */
const LEAST_BYTES = 32;

/** What example files put where a secret belongs. */
const PLACEHOLDER =
  /change[-_ ]?(me|this|it|in)|your[-_ ]?(jwt|super|secret|own)|super[-_ ]?secret|placeholder|replace[-_ ]?(me|this|with)|secret[-_ ]?key|my[-_ ]?secret|insecure|example|password|not[-_ ]?for[-_ ]?production/i;

/** Why a secret must not sign production tokens; `undefined` when it may. */
export function secretWeakness(secret: string): string | undefined {
  if (Buffer.byteLength(secret) < LEAST_BYTES) return `is shorter than ${LEAST_BYTES} bytes`;
  if (PLACEHOLDER.test(secret)) return 'is a default or an example from documentation';
  if (new Set(secret).size < 8) return 'repeats too few characters';
  return undefined;
}

/** Where a secret is kept that nobody set: outside production only, see README. */
export function storedSecretPath(dataDir: string): string {
  return join(dataDir, 'jwt-secret');
}

/** The kept secret, or `undefined` when there is none. */
export function readStoredSecret(dataDir: string): string | undefined {
  try {
    return readFileSync(storedSecretPath(dataDir), 'utf8').trim() || undefined;
  } catch {
    return undefined;
  }
}

/**
 * Keeps a new random secret, unless another process was first; returns the one that is kept.
 * Written aside and linked into place, so that nobody ever reads half of it.
 *
 * @throws when the folder cannot be written
 */
export function createStoredSecret(dataDir: string): string {
  mkdirSync(dataDir, { recursive: true });
  const path = storedSecretPath(dataDir);
  const draft = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  writeFileSync(draft, `${randomSecret()}\n`, { mode: 0o600, flag: 'wx' });
  try {
    linkSync(draft, path);
  } catch (error) {
    if (readStoredSecret(dataDir) === undefined) throw error;
  } finally {
    rmSync(draft, { force: true });
  }
  return readFileSync(path, 'utf8').trim();
}

export function randomSecret(): string {
  return randomBytes(48).toString('base64url');
}
