import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createStoredSecret, readStoredSecret, secretWeakness, storedSecretPath } from './jwt-secret.js';

describe('secretWeakness', () => {
  it.each([
    ['', 'shorter'],
    ['short', 'shorter'],
    ['x'.repeat(31), 'shorter'],
    ['your-secret-key-change-in-production-please', 'default'],
    ['change-me-change-me-change-me-change-me', 'default'],
    ['CHANGEME0123456789CHANGEME0123456789', 'default'],
    ['supersecretsupersecretsupersecret123', 'default'],
    ['your_jwt_secret_goes_here_0123456789', 'default'],
    ['replace-this-with-a-real-secret-0123', 'default'],
    ['a'.repeat(64), 'repeats'],
    ['abababababababababababababababababab', 'repeats'],
  ])('refuses %j', (secret, why) => expect(secretWeakness(secret)).toContain(why));

  it('accepts random secrets of 32 bytes, in hex and base64', () => {
    for (let round = 0; round < 200; round++) {
      expect(secretWeakness(randomBytes(32).toString('hex'))).toBeUndefined();
      expect(secretWeakness(randomBytes(24).toString('base64'))).toBeUndefined();
    }
    expect(secretWeakness('correct horse battery staple, twice over')).toBeUndefined();
  });
});

describe('the kept secret', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'jwt-secret-'));
  });
  afterEach(() => {
    chmodSync(folder, 0o700);
    rmSync(folder, { recursive: true });
  });

  it('is made once, strong, readable by its owner only', () => {
    const dataDir = join(folder, 'new', 'data');
    expect(readStoredSecret(dataDir)).toBeUndefined();
    const secret = createStoredSecret(dataDir);
    expect(secretWeakness(secret)).toBeUndefined();
    expect(createStoredSecret(dataDir)).toBe(secret);
    expect(readStoredSecret(dataDir)).toBe(secret);
    expect(statSync(storedSecretPath(dataDir)).mode & 0o777).toBe(0o600);
    expect(readdirSync(dataDir)).toEqual(['jwt-secret']);
  });

  it('is that of whoever was first', () => {
    writeFileSync(storedSecretPath(folder), 'from the quickstart\n');
    expect(createStoredSecret(folder)).toBe('from the quickstart');
    expect(readdirSync(folder)).toEqual(['jwt-secret']);
  });
});
