import { describe, expect, it } from 'vitest';
import { meantName, misspeltVariables } from './misspelt-names.js';

describe('misspeltVariables', () => {
  const known = [
    'PORT',
    'HOST',
    'RATE_LIMIT_REQUESTS_PER_MINUTE',
    'JWT_SECRET_KEY',
    'LOG_FILE',
    'LANGFUSE_HOST',
  ];

  it.each([
    [
      'RATE_LIMIT_REQUEST_PER_MINUTE',
      'is not a variable of the gateway; is RATE_LIMIT_REQUESTS_PER_MINUTE meant?',
    ],
    [
      'RATELIMIT_REQUEST_PER_MINUTE',
      'is not a variable of the gateway; is RATE_LIMIT_REQUESTS_PER_MINUTE meant?',
    ],
    ['JWT_SECRETKEY', 'is not a variable of the gateway; is JWT_SECRET_KEY meant?'],
    ['JWT_SECRET_KEY_FILE', 'is not read; JWT_SECRET_KEY takes the value itself'],
  ])('names what is almost right: %s', (name, reason) => {
    expect(misspeltVariables([name], known)).toEqual([`${name}: ${reason}`]);
  });

  it('leaves right and foreign names alone', () => {
    const foreign = [
      'HOME',
      'HOSTNAME',
      'PORTS',
      'POSTGRES_PASSWORD',
      'POSTGRES_PASSWORD_FILE',
      'LANGFUSE_PORT',
    ];
    expect(misspeltVariables([...known, ...foreign], known)).toEqual([]);
  });
});

it('a name that is meant is at most a slip or two away', () => {
  expect(meantName('base_ur', ['type', 'base_url'])).toBe('base_url');
  expect(meantName('modell', ['type', 'base_url'])).toBeUndefined();
});
