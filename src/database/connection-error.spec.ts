import { GatewayError } from '@app/contracts';
import { DataSource, QueryFailedError } from 'typeorm';
import { describe, expect, it } from 'vitest';
import {
  DatabaseDownError,
  DatabaseRefusesError,
  isConnectionError,
  toGatewayError,
} from './connection-error.js';

const withCode = (code: string): Error => Object.assign(new Error('x'), { code });

describe('isConnectionError', () => {
  it.each([
    'ECONNREFUSED',
    'ECONNRESET',
    '08006',
    '57P01',
    '57P03',
    '53300',
    '57014',
    '55P03',
    '25006',
    '28P01',
    '28000',
  ])('is true for %s, also wrapped by TypeORM', (code) => {
    expect(isConnectionError(withCode(code))).toBe(true);
    expect(isConnectionError(new QueryFailedError('SELECT 1', [], withCode(code)))).toBe(true);
  });

  it.each(['23505', '23514', '42P01', '40001', '40P01', '42501', '22003'])(
    'is false for the answer %s',
    (code) => {
      expect(isConnectionError(withCode(code))).toBe(false);
      expect(isConnectionError(new QueryFailedError('SELECT 1', [], withCode(code)))).toBe(false);
    },
  );

  it.each([
    new Error('Connection terminated unexpectedly'),
    new Error('timeout exceeded when trying to connect'),
    new Error('Query read timeout'),
    new DatabaseDownError(undefined),
    new DatabaseRefusesError(withCode('3D000')),
    new AggregateError([withCode('ECONNREFUSED'), withCode('ECONNREFUSED')]),
  ])('is true for what the drivers give no code: %s', (error) => {
    expect(isConnectionError(error)).toBe(true);
  });

  it('is true for a DataSource that never connected', async () => {
    const dataSource = new DataSource({ type: 'postgres', url: 'postgres://u:p@127.0.0.1:1/db' });
    const error: unknown = await dataSource.query('SELECT 1').catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(Error);
    expect(isConnectionError(error)).toBe(true);
  });

  it('is false for what is no error of the database', () => {
    for (const value of [undefined, 'ECONNRESET', new TypeError('x is not a function')]) {
      expect(isConnectionError(value)).toBe(false);
    }
  });
});

describe('toGatewayError', () => {
  it('makes a 503 with Retry-After of it, and keeps the cause', () => {
    const cause = withCode('ECONNREFUSED');
    const error = toGatewayError(cause);
    expect(error).toBeInstanceOf(GatewayError);
    expect(error).toMatchObject({ code: 'database_unavailable', status: 503, retryAfterMs: 5_000, cause });
    expect(toGatewayError(error)).toBe(error);
  });

  it('leaves every other error alone', () => {
    const error = withCode('23505');
    expect(toGatewayError(error)).toBe(error);
  });
});
