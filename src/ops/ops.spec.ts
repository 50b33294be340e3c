import { readFileSync } from 'node:fs';
import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { requestRecord } from '../../test/support/request-record.js';
import { GatewayMetrics } from '../telemetry/metrics/gateway-metrics.js';
import { PrometheusSink } from '../telemetry/metrics/prometheus.sink.js';
import { buildSummary } from './build-summary.js';
import { between, bytes, duration, money, quantile, seconds, sparkline } from './page/figures.js';
import { parseMetricsText } from './parse-metrics-text.js';

describe('the metrics page read back', () => {
  it('gives labels as they were, whatever is in them', () => {
    const text =
      '# HELP x y\nx{a="q\\"uo\\\\te",b="two\\nlines, and {braces}"} 1.5e-7\nup 1\nbad NaN\nh_bucket{le="+Inf"} 3\n';
    expect(parseMetricsText(text)).toEqual([
      { name: 'x', labels: { a: 'q"uo\\te', b: 'two\nlines, and {braces}' }, value: 1.5e-7 },
      { name: 'up', labels: {}, value: 1 },
      { name: 'h_bucket', labels: { le: '+Inf' }, value: 3 },
    ]);
  });

  it('adds up to traffic, spend and alarms', async () => {
    const registry = new Registry();
    const sink = new PrometheusSink(new GatewayMetrics(registry), undefined);
    sink.request(requestRecord());
    sink.request(
      requestRecord({
        model: 'claude-3',
        provider: 'anthropic',
        status: 502,
        errorCode: 'provider_bad_response',
      }),
    );
    sink.event({
      kind: 'shortfall',
      model: 'gpt-4',
      amountNanoUsd: 5_000_000n,
      requestId: 'request-1',
      userId: 'user-1',
    });
    const summary = buildSummary(parseMetricsText(await registry.metrics()));
    expect(summary).toMatchObject({
      requests: { total: 2, failed: 1, by_status: { 200: 1, 502: 1 } },
      errors: { provider_bad_response: 1 },
      attempts: { openai: { ok: 2 }, azure: { provider_overloaded: 2 } },
      money: { shortfall_total: 0.005 },
      tokens_total: 300,
      latency: { count: 2 },
    });
    expect(summary.cost_total).toBeCloseTo(0.000246912, 12);
    expect(summary.models).toHaveLength(2);
    expect(summary.models[0]).toMatchObject({ requests: 1, input_tokens: 100, output_tokens: 50 });
    expect(summary.money.holds_open).toBeUndefined();
    const { bounds, counts } = summary.latency;
    expect(bounds).toEqual([...bounds].sort((left, right) => left - right));
    expect(counts[bounds.indexOf(2)]).toBe(2);
  });

  it('tells of workers that died', () => {
    const page = 'llm_gateway_workers 2\nllm_gateway_worker_deaths_total 3\n';
    expect(buildSummary(parseMetricsText(page))).toMatchObject({ workers: 2, worker_deaths: 3 });
  });

  it('takes no longer for a model when there are a thousand of them', () => {
    const few = summaryMs(100);
    const many = summaryMs(3_000);
    expect(many / 30).toBeLessThan(few * 4);
  });
});

/** The shortest of several runs: whatever else the machine does only adds. */
function summaryMs(models: number): number {
  const samples = Array.from({ length: models }, (_, index) => {
    const labels = { model: `model-${index}`, provider: 'openai' };
    return [
      ...['200', '429', '502'].map((status) => ({
        name: 'llm_requests_total',
        labels: { ...labels, status },
        value: 1,
      })),
      ...['input', 'output', 'reasoning'].map((kind) => ({
        name: 'llm_tokens_total',
        labels: { ...labels, kind },
        value: 2,
      })),
      { name: 'llm_cost_total', labels, value: 3 },
    ];
  }).flat();
  const runs = Array.from({ length: 7 }, () => {
    const startedMs = performance.now();
    const summary = buildSummary(samples);
    const elapsedMs = performance.now() - startedMs;
    expect(summary.models).toHaveLength(models);
    expect(summary.models.at(-1)).toMatchObject({
      requests: 3,
      failed: 1,
      input_tokens: 2,
      output_tokens: 2,
      cost: 3,
    });
    return elapsedMs;
  });
  return Math.min(...runs);
}

describe('the figures of the page', () => {
  const histogram = { bounds: [0.1, 0.5, 1], counts: [10, 90, 100], count: 100 };

  it('interpolate quantiles like Prometheus', () => {
    expect(quantile(histogram, 0.5)).toBeCloseTo(0.3, 10);
    expect(quantile(histogram, 0.95)).toBeCloseTo(0.75, 10);
    expect(quantile({ ...histogram, count: 200 }, 0.99)).toBe(1);
    expect(quantile({ bounds: [1], counts: [0], count: 0 }, 0.5)).toBeUndefined();
  });

  it('are of the window, and of everything after a restart', () => {
    const later = { bounds: [0.1, 0.5, 1], counts: [10, 95, 110], count: 110 };
    expect(between(histogram, later)).toEqual({ bounds: later.bounds, counts: [0, 5, 10], count: 10 });
    expect(between(later, histogram)).toBe(histogram);
  });

  it.each([
    [seconds(0.000_25), '250 µs'],
    [seconds(0.012_34), '12.3 ms'],
    [seconds(1.5), '1.5 s'],
    [seconds(undefined), '–'],
    [duration(3_725), '1 h 2 min'],
    [duration(0.4), '0 s'],
    [bytes(188_743_680), '180 MiB'],
    [money(0.000_123, 'USD'), '0.000123 USD'],
    [money(12.345, 'EUR'), '12.35 EUR'],
  ])('read %s', (shown, wanted) => {
    expect(shown).toBe(wanted);
  });

  it('draw a line within its box, also through zeros', () => {
    expect(sparkline([0, 1, 2])).toBe('M0.0 23.0L50.0 12.0L100.0 1.0');
    expect(sparkline([0, 0])).not.toContain('NaN');
  });
});

describe('the page', () => {
  const html = readFileSync(new URL('./page/ops.html', import.meta.url), 'utf8');

  it('loads nothing from elsewhere and holds no inline script or style', () => {
    const references = [...html.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, reference]) => reference);
    expect(references.filter((reference) => !/^(?:\/ops\/|#|data:,)/.test(reference ?? ''))).toEqual([]);
    expect(html).not.toMatch(/<style|style=|<script(?![^>]*src=)|\son\w+=/);
  });
});
