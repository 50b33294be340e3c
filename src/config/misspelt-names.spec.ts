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
      'is not a variable of the gateway; did you mean RATE_LIMIT_REQUESTS_PER_MINUTE?',
    ],
    [
      'RATELIMIT_REQUEST_PER_MINUTE',
      'is not a variable of the gateway; did you mean RATE_LIMIT_REQUESTS_PER_MINUTE?',
    ],
    ['JWT_SECRETKEY', 'is not a variable of the gateway; did you mean JWT_SECRET_KEY?'],
    ['JWT_SECRET_KEY_FILE', 'is not read; set JWT_SECRET_KEY to the value itself'],
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
