import { describe, expect, it } from 'vitest';
import { declaredNames } from './environment-fields.js';
import { Environment, readEnvironmentVariables } from './environment.js';

describe('readEnvironmentVariables', () => {
  it('has a default for everything, so that an empty environment works', () => {
    const { environment, faults } = readEnvironmentVariables({});
    expect(faults).toEqual([]);
    expect(environment).toMatchObject({
      HOST: '0.0.0.0',
      PORT: 8000,
      ENVIRONMENT: 'development',
      BILLING_DEFAULT_BALANCE: '100',
    });
    expect(environment).toEqual(new Environment());
  });

  it('takes a blank variable for an unset one, as in a copied .env.example', () => {
    const { environment, faults } = readEnvironmentVariables({
      PORT: '',
      REDIS_URL: '   ',
      WORKERS: undefined,
    });
    expect(faults).toEqual([]);
    expect(environment).toEqual(new Environment());
  });

  it.each([
    ['PORT', '8080', 8080],
    ['PORT', '0', 0],
    ['DEBUG', 'True', true],
    ['DEBUG', '0', false],
    ['BILLING_ENABLED', 'off', false],
    ['LOG_LEVEL', 'INFO', 'info'],
    ['LOG_LEVEL', 'WARNING', 'warn'],
    ['ENVIRONMENT', 'Production', 'production'],
    ['JWT_ALGORITHM', 'hs512', 'HS512'],
    ['WORKERS', 'auto', 0],
    ['WORKERS', '4', 4],
    ['RETRY_BASE_DELAY', '0.25', 0.25],
    ['BODY_LIMIT', '10mb', 10 * 1024 * 1024],
    ['BODY_LIMIT', '512 kB', 512 * 1024],
    ['BODY_LIMIT', '1.5M', 1.5 * 1024 * 1024],
    ['BODY_LIMIT', '2048', 2048],
    [
      'CORS_ORIGINS',
      '["http://localhost:3000", "https://a.example"]',
      ['http://localhost:3000', 'https://a.example'],
    ],
    [
      'CORS_ORIGINS',
      'http://localhost:3000 , https://a.example,',
      ['http://localhost:3000', 'https://a.example'],
    ],
    ['CORS_ORIGINS', '["*"]', ['*']],
    [
      'ALLOWED_HOSTS',
      'localhost,*.example.com,127.0.0.1:8000',
      ['localhost', '*.example.com', '127.0.0.1:8000'],
    ],
    ['REDIS_URL', '/tmp/redis.sock', '/tmp/redis.sock'],
    ['REDIS_URL', 'rediss://:pw@host:6380/2', 'rediss://:pw@host:6380/2'],
    [
      'DATABASE_URL',
      'postgresql://postgres@/gateway?host=/tmp/socket',
      'postgresql://postgres@/gateway?host=/tmp/socket',
    ],
    ['BILLING_DEFAULT_BALANCE', '95.123456789', '95.123456789'],
    ['JWT_SECRET_KEY', ' to the last blank ', ' to the last blank '],
  ] as const)('reads %s=%s', (name, text, value) => {
    const { environment, faults } = readEnvironmentVariables({ [name]: text });
    expect(faults).toEqual([]);
    expect(environment[name]).toEqual(value);
  });

  it.each([
    ['PORT', '65536'],
    ['PORT', '80.5'],
    ['PORT', '0x50'],
    ['PORT', '-1'],
    ['PORT', '1e3'],
    ['DEBUG', 'maybe'],
    ['LOG_LEVEL', 'loud'],
    ['ENVIRONMENT', 'prodution'],
    ['JWT_ALGORITHM', 'none'],
    ['JWT_ALGORITHM', 'RS256'],
    ['WORKERS', '0'],
    ['BODY_LIMIT', '10 apples'],
    ['BODY_LIMIT', '900gb'],
    ['RETRY_BASE_DELAY', '-1'],
    ['RETRY_BASE_DELAY', 'Infinity'],
    ['CORS_ORIGINS', 'localhost:3000'],
    ['CORS_ORIGINS', '["http://a", 5]'],
    ['CORS_ORIGINS', '["http://a"'],
    ['ALLOWED_HOSTS', 'https://example.com'],
    ['DATABASE_URL', 'mysql://host/db'],
    ['REDIS_URL', 'http://host'],
    ['BILLING_CURRENCY', 'usd!'],
    ['BILLING_DEFAULT_BALANCE', '1e3'],
    ['BILLING_DEFAULT_BALANCE', '-5'],
    ['BILLING_DEFAULT_BALANCE', '1.0123456789'],
    ['JWT_JWKS_URL', 'https://user:pw@idp.example/jwks'],
    ['JWT_JWKS_URL', 'file:///etc/passwd'],
    ['SENTRY_TRACES_SAMPLE_RATE', '1.1'],
  ])('refuses %s=%s by name, without the value', (name, text) => {
    const { faults } = readEnvironmentVariables({ [name]: text });
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatch(new RegExp(`^${name}: must be `));
    expect(faults[0]).not.toContain(text);
  });

  it('reports every fault, not only the first', () => {
    const { faults } = readEnvironmentVariables({ PORT: 'x', DEBUG: 'x', BODY_LIMIT: 'x', HOST: 'a b' });
    expect(faults.map((fault) => fault.split(':')[0]).toSorted()).toEqual([
      'BODY_LIMIT',
      'DEBUG',
      'HOST',
      'PORT',
    ]);
  });

  it('declares each variable of the class', () => {
    expect(declaredNames().toSorted()).toEqual(Object.keys(new Environment()).toSorted());
  });
});
