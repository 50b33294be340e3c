import {
  createDatabase,
  eventually,
  FakeUpstream,
  FaultProxy,
  type Gateway,
  startGateway,
  startRedis,
  type TestDatabase,
  type TestRedis,
} from '@app/testing';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { annotationQueries, dashboardVariables, panelQueries } from '../support/dashboard-queries.js';
import { MONITORING, PrometheusServer, promtool } from '../support/prometheus-server.js';

const METRICS_TOKEN = 'the-metrics-token-of-this-test';
const ADMIN = { sub: 'root', role: 'admin' } as const;
const REQUESTS_TO_WORKERS = 12;

let database: TestDatabase;
let databaseLine: FaultProxy;
let redis: TestRedis;
let upstream: FakeUpstream;
/** One process, with whatever can go wrong going wrong. */
let gateway: Gateway;
let workers: Gateway;
let prometheus: PrometheusServer;

describe('promtool', () => {
  it.each([
    ['check', 'config', join(MONITORING, 'prometheus.yml')],
    ['check', 'rules', join(MONITORING, 'rules/recording.yml'), join(MONITORING, 'rules/alerts.yml')],
    ['test', 'rules', join(MONITORING, 'rules/alerts.test.yml')],
  ])('%s %s', (...args) => {
    expect(promtool(args)).toMatchObject({ code: 0, output: expect.not.stringMatching(/FAILED|WARN/i) });
  });
});

describe('a Prometheus with the shipped configuration', () => {
  beforeAll(async () => {
    database = await createDatabase();
    databaseLine = await FaultProxy.start(database.url);
    redis = await startRedis();
    upstream = await FakeUpstream.start();
    const common = {
      ...upstream.env,
      METRICS_TOKEN,
      RETRY_ENABLED: 'false',
      LEDGER_AUDIT_INTERVAL_HOURS: '0.0003',
      RATE_LIMIT_REQUESTS_PER_MINUTE: '100000',
      RATE_LIMIT_REQUESTS_PER_HOUR: '1000000',
    };
    [gateway, workers] = await Promise.all([
      startGateway({
        env: {
          ...common,
          DATABASE_URL: databaseLine.through(database.url),
          REDIS_URL: redis.url,
          RATE_LIMIT_STORAGE: 'redis',
          BILLING_DEFAULT_BALANCE: '0.5',
          CIRCUIT_BREAKER_FAILURE_THRESHOLD: '3',
          LANGFUSE_ENABLED: 'true',
          LANGFUSE_PUBLIC_KEY: 'pk',
          LANGFUSE_SECRET_KEY: 'sk',
          LANGFUSE_HOST: 'http://127.0.0.1:9',
        },
      }),
      startGateway({ env: { ...common, DATABASE_URL: database.url, WORKERS: '2' } }),
    ]);
    prometheus = await PrometheusServer.start({
      targets: [gateway, workers].map(({ port }) => `127.0.0.1:${port}`),
      metricsToken: METRICS_TOKEN,
    });
    await eventually(
      'both were scraped',
      async () => (await prometheus.query('up == 1')).length === 2,
      20_000,
    );
    // Twice, with a scrape in between: of a counter that appears with its first event nothing is known to have grown.
    for (const round of [1, 2]) {
      await ordinaryTraffic(round);
      await failingProviders();
      await scraped();
    }
    await spoilBooks(1);
    await eventually('LedgerAuditMismatch', () => isRaised('LedgerAuditMismatch', {}), 20_000, 200);
    await storesAway();
  });
  afterAll(async () => {
    await prometheus?.[Symbol.asyncDispose]();
    await Promise.all([gateway?.stop(), workers?.stop()]);
    await upstream?.stop();
    await redis?.kill();
    await databaseLine?.stop();
    await database?.drop();
  });

  it('gets the metrics with METRICS_TOKEN, and nothing without', async () => {
    const targets = await eventually('every target was asked', async () => {
      const asked = await prometheus.targets();
      return asked.length === 4 && asked.every(({ health }) => health !== 'unknown') && asked;
    });
    const of = (job: string) => targets.filter(({ labels }) => labels['job'] === job);
    expect(of('llm-gateway').map(({ health, lastError }) => [health, lastError])).toEqual([
      ['up', ''],
      ['up', ''],
    ]);
    expect(of('without-token')).toHaveLength(2);
    for (const { health, lastError } of of('without-token')) {
      expect(health).toBe('down');
      expect(lastError).toContain('401');
    }
  });

  it.each(['one process', 'two workers'])(
    'finds nothing to say of the names and texts of %s',
    async (which) => {
      const page = await (which === 'one process' ? gateway : workers).fetch('/metrics', {
        headers: { authorization: `Bearer ${METRICS_TOKEN}` },
      });
      expect(promtool(['check', 'metrics'], await page.text())).toEqual({ code: 0, output: '' });
    },
  );

  it('counts what two workers did as one', async () => {
    const of = `instance="127.0.0.1:${workers.port}"`;
    await one(`sum(llm_requests_total{${of}, status="200"})`, REQUESTS_TO_WORKERS);
    await one(`llm_gateway_workers{${of}}`, 2);
    await one(`sum(llm_requests_duration_seconds_bucket{${of}, le="+Inf"})`, REQUESTS_TO_WORKERS);
  });

  it('evaluates every rule without a fault, and each recording rule of what happened has data', async () => {
    const rules = await eventually('every rule was evaluated', async () => {
      const known = await prometheus.rules();
      return known.every(({ health }) => health !== 'unknown') && known;
    });
    expect(rules.length).toBeGreaterThan(30);
    expect(rules.filter(({ health }) => health !== 'ok')).toEqual([]);
    // A shortfall and the holds of a dead instance are not provoked here; the rules' unit tests have them.
    const absent = [
      'gateway:shortfall:new1h',
      'gateway:orphaned_holds:new1h',
      'gateway:unseen:1h',
      'gateway:unseen:10m',
    ];
    for (const { name } of rules.filter(({ type }) => type === 'recording')) {
      if (absent.includes(name)) expect(await prometheus.query(name), name).toEqual([]);
      else await eventually(name, async () => (await prometheus.query(name)).length > 0);
    }
  });

  it('raises the alerts of what went wrong, each of whoever it is about, and no other', async () => {
    const expected = {
      GatewayErrorRateHigh: {},
      GatewayTelemetryDropped: { sink: 'langfuse' },
      LedgerAuditMismatch: { check: 'balance_is_sum_of_ledger' },
      OutageCreditInUse: {},
      ProviderCircuitOpen: { provider: 'google', model: 'gemini-1.5-pro' },
      ProviderCostUnknown: { provider: 'openai' },
      ProviderFailing: { provider: 'anthropic' },
      ProviderKeyRefused: { provider: 'anthropic' },
      RateLimitsDegraded: {},
      UserBalanceLow: { user_id: 'poor' },
    };
    for (const [name, labels] of Object.entries(expected)) {
      await eventually(`${name} ${JSON.stringify(labels)}`, () => isRaised(name, labels), 20_000, 200);
    }
    const raised = (await prometheus.rules()).filter(
      ({ alerts }) => alerts !== undefined && alerts.length > 0,
    );
    const unexpected = raised.filter(({ name }) => !(name in expected)).map(({ name }) => name);
    // that a busy machine made the gateway slow is no fault of the rules
    expect(unexpected.filter((name) => !/OverheadHigh|EventLoopLate/.test(name))).toEqual([]);
    for (const { summary } of raised.flatMap(({ alerts = [] }) =>
      alerts.map(({ annotations }) => annotations),
    ))
      expect(summary).not.toMatch(/error|<no value>/);
  });

  it('has data for every panel of the dashboard, with the labels that its legend names', async () => {
    const empty: string[] = [];
    for (const { panel, expression, legendLabels } of panelQueries()) {
      // `or vector(0)` turns nothing into zero: what is asked for is what stands before it
      const series = await prometheus.query(expression.replace(/ or vector\(0\)$/, ''));
      if (series.length === 0) empty.push(panel);
      for (const label of legendLabels)
        expect(
          series.filter(({ metric }) => !metric[label]),
          `${panel}: ${label}`,
        ).toEqual([]);
    }
    // Both are counters that begin with their first event, and stand at zero until then.
    expect(empty).toEqual(['Shortfall', 'Orphaned holds, 24 h', 'Holds']);
    for (const expression of annotationQueries())
      expect((await prometheus.query(expression)).length).toBeGreaterThan(0);
  });

  it('fills every variable of the dashboard', async () => {
    const values = Object.fromEntries(
      await Promise.all(
        dashboardVariables().map(async ({ name, label, selector }) => [
          name,
          await prometheus.labelValues(label, selector),
        ]),
      ),
    );
    expect(values).toMatchObject({ job: ['llm-gateway'], namespace: ['prod'], instance: { length: 2 } });
    expect(values.provider).toEqual(expect.arrayContaining(['anthropic', 'google', 'openai']));
    expect(values.model).toEqual(expect.arrayContaining(['gpt-4', 'claude-3-7-sonnet', 'gemini-1.5-pro']));
  });

  it('notices an instance that is gone, and an audit that found no fault any more', async () => {
    await workers.stop();
    const instance = `127.0.0.1:${workers.port}`;
    await eventually('GatewayInstanceDown', () => isRaised('GatewayInstanceDown', { instance }), 20_000, 200);
    databaseLine.heal();
    await spoilBooks(-1);
    const isOver = async () => !(await isRaised('LedgerAuditMismatch', {}));
    await eventually('the end of LedgerAuditMismatch', isOver, 20_000, 200);
  });

  async function ordinaryTraffic(round: number): Promise<void> {
    await upstream.reset();
    for (const model of ['gpt-4', 'claude-3', ...(round === 1 ? ['gemini-1.5-pro'] : [])]) {
      for (const stream of [false, true]) expect(await ask(model, { stream })).toBe(200);
    }
    await topUp(`top-up-${round}`);
    expect(await ask('gpt-4', {}, 'poor')).toBe(200);
    for (let i = 0; i < 2; i++) {
      expect(await ask('gpt-4', {}, 'alice', { 'idempotency-key': `twice-${round}` })).toBe(200);
      expect(await ask('gpt-4', { temperature: 0, seed: round }, 'alice', { 'x-cache-ttl': 'on' })).toBe(200);
    }
    for (let i = 0; i < REQUESTS_TO_WORKERS / 2; i++) {
      const answer = await workers.complete(hello('gpt-4'), `user-${i}`, { connection: 'close' });
      expect(answer.status).toBe(200);
      await answer.text();
    }
    await (await gateway.fetch('/v1/models', { as: 'alice' })).text();
    await (await gateway.fetch('/v1/models', { headers: { authorization: 'Bearer nonsense' } })).text();
  }

  async function failingProviders(): Promise<void> {
    const fails = (status: number) => ({ status, body: { json: { error: { message: 'no' } } } });
    await upstream.answerNext(
      { fault: { kind: 'reset', afterBytes: 'before-headers' } },
      { vendor: 'openai' },
    );
    await ask('gpt-4');
    await upstream.answerAlways(fails(401), { vendor: 'anthropic' });
    for (let i = 0; i < 2; i++) expect(await ask('claude-3')).toBe(502);
    await upstream.answerAlways(fails(500), { vendor: 'google' });
    for (let i = 0; i < 4; i++) expect(await ask('gemini-1.5-pro')).toBeGreaterThanOrEqual(500);
  }

  async function storesAway(): Promise<void> {
    await redis.kill();
    databaseLine.faults = { down: { blackhole: true } };
    for (let i = 0; i < 2; i++) await ask('gpt-4');
  }

  /** Waits until Prometheus has read what has happened so far. */
  async function scraped(): Promise<void> {
    const sinceMs = Date.now();
    await eventually('a scrape', async () => {
      const scrapes = await prometheus.query(`timestamp(up{job="llm-gateway"}) * 1000 > ${sinceMs}`);
      return scrapes.length === 2;
    });
  }
});

function hello(model: string): Record<string, unknown> {
  return { model, messages: [{ role: 'user', content: 'hello' }] };
}

async function ask(
  model: string,
  changes: Record<string, unknown> = {},
  as = 'alice',
  headers: Record<string, string> = {},
): Promise<number> {
  const answer = await gateway.complete({ ...hello(model), ...changes }, as, headers);
  await answer.text();
  return answer.status;
}

async function topUp(key: string): Promise<void> {
  const answer = await gateway.fetch('/admin/users/alice/topups', {
    method: 'POST',
    as: ADMIN,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ amount: '50', description: 'for the test', idempotency_key: key }),
  });
  expect(answer.ok).toBe(true);
}

/** Puts a balance wrong, or right again; the gateway's own audit is to notice. */
async function spoilBooks(nano: number): Promise<void> {
  await database.query('UPDATE account SET balance_nano = balance_nano + $1 WHERE user_id = $2', [
    nano,
    'alice',
  ]);
}

async function isRaised(name: string, labels: Record<string, string>): Promise<boolean> {
  const alerts = await prometheus.alerts(name);
  return alerts.some((alert) => Object.entries(labels).every(([key, value]) => alert.labels[key] === value));
}

/** The expression gives one series, and this value. */
function one(expression: string, value: number): Promise<unknown> {
  return eventually(`${expression} = ${value}`, async () => {
    const [series, ...others] = await prometheus.query(expression);
    return others.length === 0 && series?.value === value;
  });
}
