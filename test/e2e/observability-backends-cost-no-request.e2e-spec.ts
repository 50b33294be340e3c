import { createDatabase, type Gateway, startGateway, type TestDatabase, WITHOUT_LIMITS } from '@app/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RecordingServer } from '../support/recording-server.js';

let database: TestDatabase;
let plain: Gateway;
let sentry: RecordingServer;
let langfuse: RecordingServer;

beforeAll(async () => {
  database = await createDatabase();
  plain = await startGateway({ env: { ...WITHOUT_LIMITS, DATABASE_URL: database.url } });
  sentry = await RecordingServer.start('{}');
  langfuse = await RecordingServer.start('{"successes":[],"errors":[]}');
});
afterAll(async () => {
  await plain?.stop();
  await sentry.stop();
  await langfuse.stop();
  await database.drop();
});

const hello = { model: 'echo', messages: [{ role: 'user', content: 'hello' }] };

/** @returns the median milliseconds of so many requests, four at a time */
async function median(gateway: Gateway, requests: number): Promise<number> {
  const times: number[] = [];
  const client = async (user: string) => {
    for (let i = 0; i < requests / 4; i++) {
      const startedMs = performance.now();
      const response = await gateway.complete(hello, user);
      await response.text();
      expect(response.status).toBe(200);
      times.push(performance.now() - startedMs);
    }
  };
  await Promise.all(['a', 'b', 'c', 'd'].map(client));
  return times.sort((left, right) => left - right)[Math.floor(times.length / 2)] ?? 0;
}

describe.each(['hang', 'error'] as const)('Sentry and Langfuse that %s', (behaviour) => {
  it('cost no request an answer, and the end of the process two seconds at most', async () => {
    sentry.behaviour = behaviour;
    langfuse.behaviour = behaviour;
    await using observed = await startGateway({
      env: {
        ...WITHOUT_LIMITS,
        DATABASE_URL: database.url,
        SENTRY_DSN: `http://public@127.0.0.1:${sentry.port}/1`,
        SENTRY_TRACES_SAMPLE_RATE: '1',
        LANGFUSE_ENABLED: 'true',
        LANGFUSE_PUBLIC_KEY: 'pk',
        LANGFUSE_SECRET_KEY: 'sk',
        LANGFUSE_HOST: langfuse.url,
      },
    });
    await Promise.all([median(plain, 100), median(observed, 100)]);
    const without = await median(plain, 200);
    const withThem = await median(observed, 200);
    // Ten times the worst seen: what is looked for are seconds, not microseconds.
    expect(withThem).toBeLessThan(without * 3 + 25);

    const page = await (await observed.fetch('/metrics')).text();
    expect(page).toContain('llm_requests_total{model="echo",provider="echo",status="200"} 300');
    const startedMs = performance.now();
    expect(await observed.stop()).toBe(0);
    expect(performance.now() - startedMs).toBeLessThan(5_000);
  });
});
