import { Counter, Histogram, Registry } from 'prom-client';
import { describe, expect, it, vi } from 'vitest';
import { requestRecord } from '../../../test/support/request-record.js';
import { Telemetry } from '../telemetry.js';
import { FastCounter, FastHistogram } from './fast-series.js';
import { GatewayMetrics } from './gateway-metrics.js';
import { MetricsText } from './metrics-text.js';
import { registerProcessMetrics } from './process-metrics.js';
import { PrometheusSink } from './prometheus.sink.js';
import { UserBalanceGauge } from './user-balance.gauge.js';

function setUp(maxUsers = 3) {
  const registry = new Registry();
  const metrics = new GatewayMetrics(registry);
  const sink = new PrometheusSink(
    metrics,
    maxUsers > 0 ? new UserBalanceGauge(registry, maxUsers) : undefined,
  );
  return { registry, metrics, sink, text: () => registry.metrics() };
}

/** @returns the values of the series whose line begins so */
async function series(text: Promise<string>, start: string): Promise<string[]> {
  return (await text).split('\n').filter((line) => line.startsWith(start));
}

describe('the metrics of a completion', () => {
  it('tell an answer of nine minutes from one of three, which is as long as REQUEST_TIMEOUT_SECONDS lets them take', async () => {
    const { sink, text } = setUp();
    sink.request(requestRecord({ durationMs: 540_000 }));
    const page = await text();
    const bucket = (le: string) =>
      `llm_requests_duration_seconds_bucket{le="${le}",model="gpt-4",provider="openai"}`;
    expect(page).toContain(`${bucket('300')} 0\n`);
    expect(page).toContain(`${bucket('600')} 1\n`);
  });

  it('tell a first token of 12 s from one of 20, and calls that take minutes from each other', async () => {
    const { sink, text } = setUp();
    const [attempt] = requestRecord().attempts;
    if (!attempt) throw new Error('the record has no attempt');
    sink.request(
      requestRecord({
        stream: true,
        timeToFirstChunkMs: 12_000,
        attempts: [{ ...attempt, durationMs: 400_000 }],
      }),
    );
    const page = await text();
    const counts = (name: string, le: string) =>
      page.match(new RegExp(`^${name}_bucket\\{le="${le}",.*\\} (\\d)$`, 'm'))?.[1];
    // what ProviderFirstTokenSlow is about
    expect(counts('gen_ai_server_time_to_first_token_seconds', '10')).toBe('0');
    expect(counts('gen_ai_server_time_to_first_token_seconds', '15')).toBe('1');
    expect(counts('gen_ai_client_operation_duration_seconds', '327.68')).toBe('0');
    expect(counts('gen_ai_client_operation_duration_seconds', '655.36')).toBe('1');
  });

  it('time no call that was not made', async () => {
    const { sink, text } = setUp();
    const [attempt] = requestRecord().attempts;
    if (!attempt) throw new Error('the record has no attempt');
    const attempts = (['circuit_open', 'bulkhead_full', 'provider_overloaded'] as const).map((outcome) => ({
      ...attempt,
      outcome,
      durationMs: 1,
    }));
    sink.request(requestRecord({ attempts }));
    const calls = await series(text(), 'llm_attempts_total{');
    expect(calls.map((line) => line.split(' ').at(-1))).toEqual(['1', '1', '1']);
    const timed = await series(text(), 'gen_ai_client_operation_duration_seconds_count{');
    expect(timed.map((line) => line.split(' ').at(-1))).toEqual(['1']);
  });

  it('have the promised names and labels', async () => {
    const { sink, text } = setUp();
    sink.request(requestRecord());
    sink.request(
      requestRecord({
        status: 503,
        errorCode: 'circuit_open',
        provider: undefined,
        usage: undefined,
        attempts: [],
      }),
    );
    sink.event({ kind: 'rate-limit', scope: 'user-minute', outcome: 'refused' });
    sink.event({ kind: 'balance', userId: 'user-1', balanceNanoUsd: 95_500_000_000n });
    const page = await text();
    for (const line of [
      'llm_requests_total{model="gpt-4",provider="openai",status="200"} 1',
      'llm_requests_total{model="gpt-4",provider="none",status="503"} 1',
      'llm_requests_errors_total{model="gpt-4",provider="none",code="circuit_open"} 1',
      'llm_requests_duration_seconds_count{model="gpt-4",provider="openai"} 1',
      'user_balance{user_id="user-1"} 95.5',
      'rate_limit_requests_total{scope="user-minute",outcome="refused"} 1',
      'llm_cost_total{model="gpt-4",provider="openai"} 0.000123456',
      'llm_attempts_total{provider="azure",model="gpt-4",outcome="provider_overloaded"} 1',
    ]) {
      expect(page.split('\n')).toContain(line);
    }
  });

  it('count parts of the tokens, and nothing that was not reported', async () => {
    const { sink, text } = setUp();
    sink.request(requestRecord());
    expect(await series(text(), 'llm_tokens_total')).toEqual([
      'llm_tokens_total{model="gpt-4",provider="openai",kind="input"} 100',
      'llm_tokens_total{model="gpt-4",provider="openai",kind="output"} 50',
      'llm_tokens_total{model="gpt-4",provider="openai",kind="cached_input"} 40',
      'llm_tokens_total{model="gpt-4",provider="openai",kind="reasoning"} 10',
    ]);
  });

  it('measure the overhead without the wait for the provider', async () => {
    const { sink, text } = setUp();
    sink.request(requestRecord({ durationMs: 1_250.25, upstreamMs: 1_248 }));
    const page = (await text()).split('\n');
    expect(page).toContain('llm_gateway_overhead_seconds_sum{stream="true"} 0.00225');
    expect(page).toContain('llm_gateway_overhead_seconds_bucket{le="0.002",stream="true"} 0');
    expect(page).toContain('llm_gateway_overhead_seconds_bucket{le="0.003",stream="true"} 1');
    expect(page).toContain('llm_gateway_overhead_seconds_bucket{le="+Inf",stream="true"} 1');
    expect(page).toContain('llm_gateway_overhead_seconds_count{stream="false"} 0');
  });
});

describe('a fast metric', () => {
  it('reads on the page as prom-client would write it', async () => {
    const [ours, theirs] = [new Registry(), new Registry()];
    const bounds = [0.1, 0.5, 1];
    const fast = new FastHistogram('h', 'help', ['a', 'b'], bounds, ours);
    const slow = new Histogram({
      name: 'h',
      help: 'help',
      labelNames: ['a', 'b'],
      buckets: bounds,
      registers: [theirs],
    });
    const counter = new FastCounter('c_total', 'help', ['a'], ours);
    const slowCounter = new Counter({
      name: 'c_total',
      help: 'help',
      labelNames: ['a'],
      registers: [theirs],
    });
    for (const value of [0, 0.1, 0.100001, 0.7, 1, 5]) {
      fast.series({ a: 'x"y', b: 'z' }).observe(value);
      slow.observe({ a: 'x"y', b: 'z' }, value);
      counter.add({ a: 'x' }, value);
      slowCounter.inc({ a: 'x' }, value);
    }
    expect(await ours.metrics()).toBe(await theirs.metrics());
  });

  it('never falls and is never broken by a figure that is none', async () => {
    const registry = new Registry();
    const histogram = new FastHistogram('h', 'help', ['a'], [1], registry);
    const counter = new FastCounter('c_total', 'help', ['a'], registry);
    for (const value of [Number.NaN, -1, Number.NaN]) {
      histogram.series({ a: 'x' }).observe(value);
      counter.add({ a: 'x' }, value);
    }
    expect(await registry.metrics()).toContain('h_count{a="x"} 0');
    expect(await registry.metrics()).toContain('c_total{a="x"} 0');
  });
});

describe('models named by clients', () => {
  it('share a label when there are too many', async () => {
    const { sink, text } = setUp();
    for (let i = 0; i < 2_000; i++) sink.request(requestRecord({ model: `anything-${i}` }));
    const models = await series(text(), 'llm_requests_total{');
    expect(models).toHaveLength(501);
    expect(models).toContain('llm_requests_total{model="other",provider="openai",status="200"} 1500');
  });
});

describe('the page of many models', () => {
  it('is read line by line as the client library would write it', async () => {
    const { registry, metrics, sink } = setUp();
    registerProcessMetrics(registry, { version: '1.2.3', environment: 'test' }, { langfuse: () => 4 });
    for (let i = 0; i < 40; i++) sink.request(requestRecord({ model: `mo"d\\el-${i}` }));
    sink.event({ kind: 'balance', userId: 'a"b', balanceNanoUsd: 1_500_000_000n });
    const page = await new MetricsText(metrics, new Telemetry(), undefined).metricsText();
    expect(page).toBe(`${await registry.metrics()}`);
  });

  it('leaves turns of the event loop to everybody else, with thousands of pairs of model and provider', async () => {
    const { metrics, sink } = setUp();
    for (let i = 0; i < 4_000; i++)
      sink.request(requestRecord({ model: `model-${i % 500}`, provider: `provider-${Math.floor(i / 500)}` }));
    // A look at the clock takes a millisecond, however fast or busy the machine is.
    let nowMs = performance.now();
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => (nowMs += 1));
    let turns = 0;
    let isMade = false;
    const count = () => {
      turns++;
      if (!isMade) setImmediate(count);
    };
    setImmediate(count);
    const texts = await new MetricsText(metrics, new Telemetry(), undefined).texts();
    isMade = true;
    clock.mockRestore();
    expect(turns).toBeGreaterThan(3);
    expect(Math.max(...texts.map((text) => text.length))).toBeLessThan(100_000);
  });

  it('has histograms of 150 models, and counters of each', async () => {
    const { sink, text } = setUp();
    for (let i = 0; i < 300; i++) sink.request(requestRecord({ model: `model-${i}` }));
    expect(await series(text(), 'llm_requests_total{')).toHaveLength(300);
    const durations = await series(text(), 'llm_requests_duration_seconds_count{');
    expect(durations).toHaveLength(151);
    expect(durations).toContain('llm_requests_duration_seconds_count{model="other",provider="openai"} 150');
  });

  it('has no series of what never came: no first token without a stream, no cost of what failed', async () => {
    const { sink, text } = setUp();
    sink.request(
      requestRecord({
        stream: false,
        status: 503,
        errorCode: 'circuit_open',
        usage: undefined,
        costNanoUsd: undefined,
        timeToFirstChunkMs: undefined,
        attempts: [],
      }),
    );
    const page = await text();
    for (const name of ['gen_ai_server_time_to_first_token_seconds', 'gen_ai_client', 'llm_cost_total'])
      expect(page).not.toMatch(new RegExp(`^${name}.*\\{`, 'm'));
    expect(page).toContain('llm_requests_duration_seconds_count{model="gpt-4",provider="openai"} 1');
  });
});

describe('user_balance', () => {
  it('never has more series than METRICS_MAX_USERS: the one seen longest ago goes', async () => {
    const { sink, text } = setUp(3);
    const seen = (userId: string) => sink.event({ kind: 'balance', userId, balanceNanoUsd: 1_000_000_000n });
    for (let i = 0; i < 1_000; i++) seen(`user-${i}`);
    seen('user-998');
    seen('user-new');
    expect(await series(text(), 'user_balance')).toEqual([
      'user_balance{user_id="user-999"} 1',
      'user_balance{user_id="user-998"} 1',
      'user_balance{user_id="user-new"} 1',
    ]);
  });

  it('is forgotten an hour after the user was seen: another instance may know better', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    try {
      const { sink, text } = setUp(3);
      const seen = (userId: string) => sink.event({ kind: 'balance', userId, balanceNanoUsd: 500_000_000n });
      seen('gone');
      seen('comes-again');
      vi.advanceTimersByTime(3_000_000);
      seen('comes-again');
      vi.advanceTimersByTime(590_000);
      expect(await series(text(), 'user_balance')).toHaveLength(2);
      vi.advanceTimersByTime(20_000);
      expect(await series(text(), 'user_balance')).toEqual(['user_balance{user_id="comes-again"} 0.5']);
    } finally {
      vi.useRealTimers();
    }
  });

  it('is off with 0', async () => {
    const { sink, text } = setUp(0);
    sink.event({ kind: 'balance', userId: 'user-1', balanceNanoUsd: 1n });
    expect(await text()).not.toContain('user_balance');
  });

  it('escapes what a user id may hold', async () => {
    const { sink, text } = setUp();
    sink.event({ kind: 'balance', userId: 'a"b\\c\nd', balanceNanoUsd: 1_000_000_000n });
    expect(await series(text(), 'user_balance')).toEqual(['user_balance{user_id="a\\"b\\\\c\\nd"} 1']);
  });
});

describe('the page', () => {
  it('shows the figures that their owners registered, also after us, and survives one that fails', async () => {
    const { metrics } = setUp();
    const telemetry = new Telemetry();
    const page = new MetricsText(metrics, telemetry, undefined);
    expect(await page.metricsText()).not.toContain('llm_gateway_holds_open');
    telemetry.addGauge({ name: 'holds_open', read: () => 7 });
    telemetry.addGauge({
      name: 'journal_oldest_seconds',
      read: () => {
        throw new Error('the disk is gone');
      },
    });
    expect(await page.metricsText()).toContain('llm_gateway_holds_open 7\n');
    expect(await page.metricsText()).toContain('llm_gateway_journal_oldest_seconds 0\n');
  });

  it('tells of a breaker no more that was forgotten', async () => {
    const { sink, text } = setUp();
    for (const model of ['gpt-4', 'gone'])
      sink.event({ kind: 'breaker', provider: 'openai', model, state: 'open' });
    sink.event({ kind: 'breaker-forgotten', provider: 'openai', model: 'gone' });
    expect(await series(text(), 'llm_gateway_circuit_breaker_state')).toEqual([
      'llm_gateway_circuit_breaker_state{provider="openai",model="gpt-4"} 2',
    ]);
  });

  it('tells the breaker, the limiter and what was dropped', async () => {
    const { registry, sink, text } = setUp();
    registerProcessMetrics(registry, { version: '1.2.3', environment: 'test' }, { langfuse: () => 4 });
    sink.event({ kind: 'breaker', provider: 'openai', model: 'gpt-4', state: 'open' });
    sink.event({ kind: 'rate-limit-mode', mode: 'redis' });
    sink.event({ kind: 'rate-limit-mode', mode: 'degraded' });
    const page = (await text()).split('\n');
    expect(page).toContain('llm_gateway_circuit_breaker_state{provider="openai",model="gpt-4"} 2');
    expect(page).toContain('llm_gateway_rate_limit_mode{mode="redis"} 0');
    expect(page).toContain('llm_gateway_rate_limit_mode{mode="degraded"} 1');
    expect(page).toContain('llm_gateway_telemetry_dropped_total{sink="langfuse"} 4');
    expect(page.find((line) => line.startsWith('llm_gateway_build_info'))).toContain('version="1.2.3"');
  });
});
