import { startRedis, type TestRedis } from '@app/testing';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';

const HOOKS = fileURLToPath(new URL('../support/typescript-hooks.mjs', import.meta.url));
const PROGRAM = fileURLToPath(new URL('./limits-process.mjs', import.meta.url));
const PROCESSES = 4;
const LIMIT = 200;
const WINDOW_MS = 2000;

type Grant = [askedAtMs: number, answeredAtMs: number];

let redis: TestRedis;

beforeAll(async () => {
  redis = await startRedis();
});

afterAll(() => redis.kill());

interface Times {
  readonly startAt: number;
  readonly endAt: number;
}

/** A process that says when it is ready, is told its times, and prints its result last. */
function run(mode: string, settings: object) {
  const child = spawn(process.execPath, ['--import', HOOKS, PROGRAM, mode, JSON.stringify(settings)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, COMPILED_SOURCES: join(inject('runDirectory'), 'compiled') },
  });
  const lines = createInterface(child.stdout);
  let last = 'null';
  lines.on('line', (line) => (last = line));
  return {
    ready: once(lines, 'line'),
    begin: (times: Times) => child.stdin.end(`${JSON.stringify(times)}\n`),
    result: once(lines, 'close').then((): unknown => JSON.parse(last)),
  };
}

/** One request opens the window; everybody else comes shortly before that window ends, and stays for so many windows in all. */
async function overload(mode: 'overload' | 'control', windows: number): Promise<Grant[]> {
  const rule = { name: 'minute', limit: LIMIT, windowMs: WINDOW_MS };
  const first = run(mode, { url: redis.url, rule, concurrency: 1 });
  const crowd = Array.from({ length: PROCESSES }, () => run(mode, { url: redis.url, rule, concurrency: 8 }));
  await Promise.all([first, ...crowd].map(({ ready }) => ready));
  const startAt = Date.now() + 100;
  first.begin({ startAt, endAt: startAt + 5 });
  for (const process of crowd)
    process.begin({ startAt: startAt + WINDOW_MS - 500, endAt: startAt + windows * WINDOW_MS });
  return ((await Promise.all([first, ...crowd].map(({ result }) => result))) as Grant[][]).flat();
}

/** The most grants that certainly fell into one window: asked after it began, answered before it ended. */
function mostInAnyWindow(grants: readonly Grant[]): number {
  let most = 0;
  for (const [beginsAtMs] of grants) {
    const certain = grants.filter(
      ([asked, answered]) => asked >= beginsAtMs && answered < beginsAtMs + WINDOW_MS,
    );
    most = Math.max(most, certain.length);
  }
  return most;
}

describe(`${PROCESSES} processes asking many times too often`, () => {
  it(`are granted ${LIMIT} of ${LIMIT} in any window, and not much less`, async () => {
    const grants = await overload('overload', 4);
    expect(mostInAnyWindow(grants)).toBeLessThanOrEqual(LIMIT);
    // Three windows from the crowd's coming to the end: each gives its whole limit.
    expect(grants.length).toBeGreaterThanOrEqual(3 * LIMIT);
    expect(grants.length).toBeLessThanOrEqual(4 * LIMIT);
  });

  it('are granted nearly twice the limit by a fixed window: the control', async () => {
    const most = mostInAnyWindow(await overload('control', 2));
    expect(most).toBeGreaterThan(1.5 * LIMIT);
  });
});

describe('4 workers of a cluster without Redis', () => {
  const rule = { name: 'minute', limit: 50, windowMs: 60_000 };
  const total = async (settings: { served: boolean; instances: number }): Promise<number> => {
    const granted = (await run('cluster', { workers: 4, each: 50, rule, ...settings }).result) as number[];
    return granted.reduce((sum, count) => sum + count, 0);
  };

  it('share one limit in the memory of the primary', async () => {
    expect(await total({ served: true, instances: 4 })).toBe(50);
  });

  it('share one limit on busy cores too, when the primary answers late', async () => {
    const busy = [1, 2, 3].map(() =>
      spawn(process.execPath, ['-e', 'const end = Date.now() + 20_000; while (Date.now() < end);']),
    );
    try {
      expect(await total({ served: true, instances: 4 })).toBe(50);
    } finally {
      for (const child of busy) child.kill();
    }
  });

  it('keep within 1.2 limits when the primary does not answer at all', async () => {
    const granted = await total({ served: false, instances: 4 });
    expect(granted).toBeLessThanOrEqual(60);
    expect(granted).toBeGreaterThanOrEqual(48);
  });

  it('would each have a limit of their own if they thought themselves alone: the control', async () => {
    expect(await total({ served: false, instances: 1 })).toBe(200);
  });
});
