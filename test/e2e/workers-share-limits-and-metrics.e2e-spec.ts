import { eventually, ownGateway, readEvents } from '@app/testing';
import { readdir, readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { parseMetricsText } from '../../src/ops/parse-metrics-text.js';
import { outcomes, see, seeAtOnce } from '../support/measure-load.js';

const LIMIT = 30;

describe('two workers on one port', () => {
  const own = ownGateway({
    WORKERS: '2',
    RATE_LIMIT_STORAGE: 'memory',
    RATE_LIMIT_REQUESTS_PER_MINUTE: String(LIMIT),
    STREAM_HEARTBEAT_SECONDS: '0.2',
  });

  /** On a connection of its own, so that the workers take turns. */
  const ask = (user: string): Promise<Response> =>
    own.gateway.complete({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'hello' }] }, user, {
      connection: 'close',
    });

  async function workers(): Promise<number[]> {
    const pids = (await readdir('/proc')).map(Number).filter((pid) => pid > 0);
    const parents = await Promise.all(
      pids.map(async (pid) => {
        const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
        return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      }),
    );
    return pids.filter((_, index) => parents[index] === own.gateway.pid);
  }

  async function metric(name: string, labels: Record<string, string>): Promise<number> {
    const text = await (await own.gateway.fetch('/metrics', { headers: { connection: 'close' } })).text();
    return parseMetricsText(text)
      .filter(
        (one) =>
          one.name === name && Object.entries(labels).every(([key, value]) => one.labels[key] === value),
      )
      .reduce((sum, { value }) => sum + value, 0);
  }

  const served = (): Promise<number> => metric('llm_requests_total', { status: '200' });

  it('grant exactly the limit together, whichever is asked', async () => {
    expect(await workers()).toHaveLength(2);
    const seen = await seeAtOnce(2 * LIMIT + 10, 12, () => ask('alice'));
    expect(outcomes(seen)).toEqual({ '200': LIMIT, '429 rate_limited': LIMIT + 10 });
  });

  it('are one sum in /metrics, from whichever it comes', async () => {
    for (let index = 0; index < 6; index++) expect(await served()).toBe(LIMIT);
    expect(await metric('rate_limit_requests_total', { outcome: 'refused' })).toBe(LIMIT + 10);
  });

  it('one is killed: it is replaced; neither the counts nor the metrics begin anew', async () => {
    const [victim, other] = await workers();
    process.kill(victim!, 'SIGKILL');
    const after = await eventually('another worker', async () => {
      const now = await workers();
      return now.length === 2 && !now.includes(victim!) && now;
    });
    expect(after).toContain(other);
    await eventually(
      'the new worker serves',
      async () => (await see(() => ask('bob'))).status === 200,
      15_000,
    );
    await eventually(
      'both say they are ready',
      async () => {
        const ready = await Promise.all(
          Array.from({ length: 8 }, () => own.gateway.fetch('/ready', { headers: { connection: 'close' } })),
        );
        return ready.every(({ ok }) => ok);
      },
      20_000,
      200,
    );
    expect(outcomes(await seeAtOnce(8, 4, () => ask('alice')))).toEqual({ '429 rate_limited': 8 });
    expect(await served()).toBeGreaterThan(LIMIT);
    expect(await metric('llm_gateway_worker_deaths_total', {})).toBe(1);
    const summary = await own.gateway.fetch('/admin/ops/summary', { as: { sub: 'root', role: 'admin' } });
    expect(await summary.json()).toMatchObject({ worker_deaths: 1 });
    const told = own.gateway.logRecords.find(({ message }) => String(message).includes('SIGKILL'));
    expect(told).toMatchObject({ level: 'error', context: 'Workers', worker: expect.any(Number) });
  }, 60_000);

  it('are told to stop: their streams end well, and the exit code is 0', async () => {
    await own.upstream.builtIn({ chunkDelayMs: 60, words: 20 });
    const streams = await Promise.all(
      Array.from({ length: 4 }, () =>
        own.gateway.complete(
          { model: 'gpt-4o-mini', stream: true, messages: [{ role: 'user', content: 'hello' }] },
          'carol',
          { connection: 'close' },
        ),
      ),
    );
    const stopped = own.gateway.stop();
    for (const stream of streams) {
      const events: string[] = [];
      for await (const { data } of readEvents(stream)) events.push(data);
      expect(events.at(-1)).toBe('[DONE]');
    }
    expect(await stopped).toBe(0);
    expect(await own.database.query('SELECT 1 FROM account WHERE held_nano > 0')).toEqual([]);
  });
});
