import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Summary } from './answers.js';
import {
  completeBreakers,
  completeDetailed,
  completePast,
  completeSummary,
  completeSystem,
} from './complete.js';
import { problems } from './problems.js';
import { TrafficWindow } from './traffic-window.js';
import * as views from './views.js';

const component = { status: 'degraded', latency_ms: 1, details: { p99_ms: 300, utilization: 1, cpu: 0.2 } };
const failure = { code: 'provider_overloaded', status: 503, connection: null };
const breaker = {
  state: 'open',
  failures: 5,
  next_attempt_at: '2026-11-30T00:00:00Z',
  last_failure: failure,
};
const histogram = { bounds: [0.01, 1], counts: [0, 50], count: 50 };

/** Of an instance with trouble everywhere: every sentence of the page is said. */
const ANSWERS = {
  detailed: {
    status: 'degraded',
    draining: true,
    version: '1',
    components: {
      database: component,
      event_loop: component,
      moon: component,
      providers: { openai: component },
    },
  },
  breakers: { circuit_breakers: { openai: { ...breaker, models: { 'gpt-4': breaker } } } },
  past: { history: [{ timestamp: '2026-11-30T00:00:00Z', status: 'healthy' }] },
  system: {
    uptime_seconds: 1,
    cpu: { percent: 1, cores: 1 },
    memory: { rss_bytes: 1 },
    heap: { used_bytes: 95, limit_bytes: 100 },
    event_loop: { p99_ms: 300, utilization: 1, cpu: 0.2 },
    disk: { free_bytes: 1, percent: 99 },
    connections: { open: 1 },
  },
  summary: {
    environment: 'test',
    version: '1',
    currency: 'USD',
    workers: 2,
    worker_deaths: 1,
    requests: { total: 100, failed: 50 },
    models: [
      { model: 'm', provider: 'p', requests: 2, failed: 1, input_tokens: 1, output_tokens: 1, cost: 1 },
    ],
    errors: { internal_error: 1 },
    attempts: { openai: { provider_auth_failed: 1 } },
    latency: histogram,
    first_token: histogram,
    overhead: histogram,
    rate_limits: { allowed: 1 },
    money: { audit_mismatches: 1, shortfall_total: 1, journal_oldest_seconds: 90, outage_credit_used: 1 },
    streams_open: 1,
    cost_total: 1,
    tokens_total: 1,
    dropped: { log: 1 },
  },
};
type Answers = typeof ANSWERS;
type Tree = Record<string, unknown>;

/** The paths to all that an answer tells. */
function paths(tree: object): string[][] {
  return Object.entries(tree).flatMap(([name, value]: [string, unknown]) => [
    ...(Array.isArray(tree) ? [] : [[name]]),
    ...(typeof value === 'object' && value !== null ? paths(value).map((path) => [name, ...path]) : []),
  ]);
}

function without(path: readonly string[]): Answers {
  const answers = structuredClone(ANSWERS);
  const parent = path.slice(0, -1).reduce((tree, name) => tree[name] as Tree, answers as Tree);
  Reflect.deleteProperty(parent, path.at(-1) ?? '');
  return answers;
}

function texts(answers: Answers): string {
  const detailed = completeDetailed(answers.detailed);
  const breakers = completeBreakers(answers.breakers);
  const past = completePast(answers.past);
  const system = completeSystem(answers.system);
  const traffic = new TrafficWindow();
  const before = { requests: { total: 0, failed: 0 }, dropped: {}, attempts: {}, overhead: histogram };
  traffic.add(completeSummary({ ...ANSWERS.summary, ...before }), 0);
  traffic.add(completeSummary(answers.summary), 60_000);
  const now = traffic.latest as Summary;
  const found = problems({ detailed, breakers, past, system }, traffic);
  return [
    ...views.problemList(found),
    ...views.liveTiles(traffic, now),
    ...views.moneyTiles(now),
    views.providersTable(detailed, breakers, now),
    views.componentsTable(detailed),
    ...views.historyBars(past),
    views.historyText(past),
    views.trafficTable(now.models, now.currency),
    views.countsTable('Error code', now.errors),
    ...views.systemTiles(system),
  ].join('\n');
}

/** As much of an element as is looked at. */
class FakeElement {
  className = '';
  textContent = '';
  append(...nodes: unknown[]): void {
    this.textContent += nodes.map((node) => ` ${String(node)}`).join('');
  }
  setAttribute(_name: string, value: string): void {
    this.textContent += ` ${value}`;
  }
  toString(): string {
    return this.textContent;
  }
}

describe('the page with the answers of an instance of another version', () => {
  beforeEach(() => {
    const make = () => new FakeElement();
    vi.stubGlobal('document', { createElement: make, createElementNS: make });
  });
  afterEach(() => {
    vi.unstubAllGlobals();
  });

  it.each(paths(ANSWERS).map((path) => [path.join('.'), path]))(
    'shows the rest without %s',
    (_name, path) => {
      const shown = texts(without(path));
      expect(shown).not.toMatch(/NaN|undefined|null|\[object/);
      expect(shown.length).toBeGreaterThan(texts(ANSWERS).length / 2);
    },
  );

  it('passes over what it does not know', () => {
    const answers = structuredClone(ANSWERS);
    Object.assign(answers.detailed.components, { stars: {}, number: 7, none: null, list: [1] });
    Object.assign(answers.summary, { more: { of: [1] } });
    expect(texts(answers)).toContain('database');
  });
});
