import { createDatabase, GatewayStartError, startGateway, type TestDatabase } from '@app/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

describe('a production boot', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createDatabase();
  });
  afterAll(() => database.drop());

  it.each([
    [{ JWT_SECRET_KEY: undefined }, ['JWT_SECRET_KEY: is required in production (or JWT_JWKS_URL)']],
    [{ JWT_SECRET_KEY: 'short' }, ['JWT_SECRET_KEY: is shorter than 32 bytes']],
    [
      { JWT_SECRET_KEY: 'your-secret-key-change-in-production' },
      ['JWT_SECRET_KEY: is a default or an example from documentation'],
    ],
    [
      { JWT_SECRET_KEY: 'short', PORT: 'eighty', BODY_LIMIT: 'much' },
      ['BODY_LIMIT', 'JWT_SECRET_KEY', 'PORT'],
    ],
  ])('stops with %j: one line per fault, exit code 1', async (env, faults) => {
    const failure = await startGateway({
      env: { ENVIRONMENT: 'production', DATABASE_URL: database.url, ...env },
    }).then(
      async (gateway) => {
        await gateway.stop();
        return undefined;
      },
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(GatewayStartError);
    const { exitCode, logs } = failure as GatewayStartError;
    expect(exitCode).toBe(1);
    const lines = logs.trim().split('\n');
    expect(lines).toHaveLength(faults.length);
    for (const fault of faults) expect(lines.filter((line) => line.startsWith(fault))).toHaveLength(1);
    expect(logs).not.toMatch(/eighty|much|your-secret/);
  });
});
