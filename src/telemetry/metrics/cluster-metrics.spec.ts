import { EventEmitter } from 'node:events';
import type { Worker } from 'node:cluster';
import { Gauge, Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { requestRecord } from '../../../test/support/request-record.js';
import { Telemetry } from '../telemetry.js';
import { ClusterMetrics } from './cluster-metrics.js';
import { registerEventLoopMetrics } from './event-loop-metrics.js';
import { GatewayMetrics } from './gateway-metrics.js';
import { MergedPage } from './merge-worker-metrics.js';
import { MetricsText } from './metrics-text.js';
import { type PagePart, pageParts, pageTexts } from './page-parts.js';
import { PrometheusSink } from './prometheus.sink.js';
import { UserBalanceGauge } from './user-balance.gauge.js';
import type { TurnTimes } from '../../timing/turn-times.js';

/** Two ends of an IPC channel without a process behind it; messages are copied as IPC does. */
class FakeCluster extends EventEmitter {
  workers: Record<string, Worker> = {};

  start(id: number) {
    const registry = new Registry();
    const process = Object.assign(new EventEmitter(), {
      send: (message: unknown, _handle: undefined, _options: undefined, sent?: () => void) =>
        queueMicrotask(() => {
          this.emit('message', worker, structuredClone(message));
          sent?.();
        }),
    });
    const state = { answers: true };
    const worker = {
      id,
      isConnected: () => id in this.workers,
      send: (message: unknown, sent: () => void) =>
        queueMicrotask(() => {
          if (state.answers) process.emit('message', structuredClone(message));
          sent();
        }),
    } as unknown as Worker;
    this.workers[id] = worker;
    const metrics = new GatewayMetrics(registry);
    const page = new MetricsText(metrics, new Telemetry(), process as unknown as NodeJS.Process);
    return { sink: new PrometheusSink(metrics, new UserBalanceGauge(registry, 10)), page, worker, state };
  }

  kill(worker: Worker, code: number | null = null): void {
    delete this.workers[worker.id];
    this.emit('exit', worker, code);
  }
}

async function textOf(primary: ClusterMetrics): Promise<string> {
  return (await primary.texts()).join('');
}

async function requests(page: Promise<string>): Promise<number> {
  const line = (await page).split('\n').find((text) => text.startsWith('llm_requests_total{'));
  return Number(line?.split(' ').at(-1) ?? 0);
}

describe('/metrics with several workers', () => {
  it('is the sum over all of them, whichever is asked', async () => {
    const cluster = new FakeCluster();
    const primary = new ClusterMetrics(cluster as never);
    const [a, b] = [cluster.start(1), cluster.start(2)];
    a.sink.request(requestRecord());
    b.sink.request(requestRecord());
    b.sink.request(requestRecord());
    expect(await requests(a.page.metricsText())).toBe(3);
    expect(await requests(b.page.metricsText())).toBe(3);
    expect(await requests(textOf(primary))).toBe(3);
    expect(await a.page.metricsText()).toContain(
      'llm_requests_duration_seconds_count{model="gpt-4",provider="openai"} 3',
    );
  });

  it('takes of a balance the latest sight, of a breaker the worst state', async () => {
    const cluster = new FakeCluster();
    const primary = new ClusterMetrics(cluster as never);
    const [a, b] = [cluster.start(1), cluster.start(2)];
    a.sink.event({ kind: 'balance', userId: 'u', balanceNanoUsd: 9_000_000_000n });
    await new Promise((resolve) => setTimeout(resolve, 5));
    b.sink.event({ kind: 'balance', userId: 'u', balanceNanoUsd: 4_000_000_000n });
    a.sink.event({ kind: 'breaker', provider: 'p', model: 'm', state: 'open' });
    b.sink.event({ kind: 'breaker', provider: 'p', model: 'm', state: 'closed' });
    const page = await textOf(primary);
    expect(page).toContain('user_balance{user_id="u"} 4\n');
    expect(page).toContain('llm_gateway_circuit_breaker_state{provider="p",model="m"} 2\n');
  });

  it('never falls when workers die, however many', async () => {
    const cluster = new FakeCluster();
    const primary = new ClusterMetrics(cluster as never);
    const survivor = cluster.start(1);
    survivor.sink.request(requestRecord());
    for (let id = 2; id < 30; id++) {
      const worker = cluster.start(id);
      worker.sink.request(requestRecord());
      await textOf(primary);
      cluster.kill(worker.worker);
    }
    expect(await requests(survivor.page.metricsText())).toBe(29);
    const page = await textOf(primary);
    expect(page).toContain('llm_requests_duration_seconds_count{model="gpt-4",provider="openai"} 29');
    expect(page).toContain('llm_requests_duration_seconds_bucket{le="2",model="gpt-4",provider="openai"} 29');
  });

  it('counts the workers that died, and from none on, but not those that were told to stop', async () => {
    const cluster = new FakeCluster();
    const primary = new ClusterMetrics(cluster as never);
    const [a, b, c] = [cluster.start(1), cluster.start(2), cluster.start(3)];
    const deaths = async () => /^llm_gateway_worker_deaths_total (\d+)$/m.exec(await textOf(primary))?.[1];
    expect(await deaths()).toBe('0');
    cluster.kill(a.worker);
    cluster.kill(b.worker, 1);
    cluster.kill(c.worker, 0);
    expect(await deaths()).toBe('2');
  });

  it('counts a worker that hangs with what it said last', async () => {
    const cluster = new FakeCluster();
    const primary = new ClusterMetrics(cluster as never);
    const [a, b] = [cluster.start(1), cluster.start(2)];
    a.sink.request(requestRecord());
    b.sink.request(requestRecord());
    expect(await requests(textOf(primary))).toBe(2);
    b.state.answers = false;
    a.sink.request(requestRecord());
    expect(await requests(textOf(primary))).toBe(3);
  });

  it('tells how long the worst event loop keeps its clients waiting, and since when the oldest worker counts', async () => {
    const workers = await Promise.all(
      [
        { startedAt: 1_000, lateMs: 600 },
        { startedAt: 2_000, lateMs: 10 },
        { startedAt: 3_000, lateMs: 10 },
      ].map(async ({ startedAt, lateMs }) => {
        const registry = new Registry();
        const name = 'process_start_time_seconds';
        // As the client library's own, of whose processes there is only one here.
        new Gauge({ name, help: 'x', aggregator: 'omit', registers: [registry] }).set(startedAt);
        registerEventLoopMetrics(registry, { turns: turnsOf(lateMs) });
        const parts: PagePart[] = [];
        for await (const part of pageParts(registry)) parts.push(structuredClone(part));
        return parts;
      }),
    );
    const merged = new MergedPage();
    for (const parts of workers) await merged.add(parts);
    const page = (await pageTexts(merged.parts())).join('');
    expect(page).toContain('\nnodejs_eventloop_lag_p99_seconds 0.6\n');
    expect(page).toContain('\nprocess_start_time_seconds 1000\n');
  });
});

function turnsOf(ms: number): TurnTimes {
  return {
    minMs: ms,
    maxMs: ms,
    meanMs: ms,
    stddevMs: 0,
    percentileMs: () => ms,
  } as unknown as TurnTimes;
}
