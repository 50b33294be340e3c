import { describe, expect, it } from 'vitest';
import { misspeltNames } from './misspelt-names.js';

describe('misspeltNames', () => {
  const known = ['PORT', 'RATE_LIMIT_REQUESTS_PER_MINUTE', 'JWT_SECRET_KEY'];
  it('finds names that are almost right', () => {
    expect(
      misspeltNames(['RATE_LIMIT_REQUEST_PER_MINUTE', 'JWT_SECRETKEY', 'PROT', 'PORTS'], known).map(
        (line) => line.split(':')[0],
      ),
    ).toEqual(['RATE_LIMIT_REQUEST_PER_MINUTE', 'JWT_SECRETKEY', 'PORTS']);
  });
  it('leaves right and foreign names alone', () => {
    expect(misspeltNames(['PORT', 'POSTGRES_PASSWORD', 'MY_KEY', 'P'], known)).toEqual([]);
  });
});
