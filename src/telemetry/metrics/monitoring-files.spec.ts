import { readFileSync } from 'node:fs';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { type Gauge, Telemetry } from '../telemetry.js';
import { WORKER_DEATHS } from './cluster-metrics.js';
import { GatewayMetrics } from './gateway-metrics.js';
import { MetricsText } from './metrics-text.js';
import { registerProcessMetrics } from './process-metrics.js';
import { UserBalanceGauge } from './user-balance.gauge.js';

const DASHBOARD = 'grafana/dashboards/llm-gateway.json';
const FOLDER = new URL('../../../deployments/monitoring/', import.meta.url);
const OURS = /\b(?:llm_|gen_ai_(?:client|server)_|user_balance|rate_limit_|nodejs_|process_)\w*/g;
const GAUGES: readonly Gauge['name'][] = [
  'holds_open',
  'journal_unsettled_records',
  'journal_oldest_seconds',
  'drains_active',
  'streams_open',
  'outage_credit_used',
  'leased',
  'can_serve',
];

const read = (path: string) => readFileSync(new URL(path, FOLDER), 'utf8');

interface Panel {
  id: number;
  gridPos: { x: number; y: number; w: number; h: number };
  datasource?: { uid: string };
  targets?: { refId: string; expr: string; datasource: { uid: string } }[];
}

interface Dashboard {
  panels: Panel[];
  annotations: { list: { expr: string }[] };
  templating: { list: { name: string; definition?: string; allValue?: string }[] };
}

interface RuleFile {
  groups: { rules: { alert?: string; expr: string; annotations?: { runbook: string } }[] }[];
}

async function knownNames(): Promise<Set<string>> {
  const registry = new Registry();
  const telemetry = new Telemetry();
  for (const name of GAUGES) telemetry.addGauge({ name, read: () => 0 });
  const metrics = new GatewayMetrics(registry);
  registerProcessMetrics(registry, { version: '0', environment: 'test' }, {});
  new UserBalanceGauge(registry, 1);
  collectDefaultMetrics({ register: registry });
  await new MetricsText(metrics, telemetry, undefined).metricsText();
  return new Set([WORKER_DEATHS, ...registry.getMetricsAsArray()].map(({ name }) => name));
}

function unknown(text: string, known: Set<string>): string[] {
  const labels = new Set(['gen_ai_provider_name']);
  return [...new Set(text.match(OURS))].filter(
    (name) => !labels.has(name) && !known.has(name) && !known.has(name.replace(/_(?:bucket|sum|count)$/, '')),
  );
}

describe('the monitoring files', () => {
  it.each(['rules/recording.yml', 'rules/alerts.yml', DASHBOARD, 'runbook.md'])(
    '%s names only metrics that exist',
    async (file) => {
      const text = read(file);
      expect(text.match(OURS)?.length).toBeGreaterThan(0);
      expect(unknown(text, await knownNames())).toEqual([]);
    },
  );

  it.each(['../../database/outage-reason.ts', '../../redis/redis-reason.ts'])(
    'have a line in the runbook for each reason of %s',
    (source) => {
      const text = readFileSync(new URL(source, import.meta.url), 'utf8');
      const reasons = [...text.matchAll(/^  \[.*, '(.+)'\],$/gm)].map(([, reason]) => reason);
      expect(reasons.length).toBeGreaterThan(10);
      const runbook = read('runbook.md');
      expect(reasons.filter((reason) => !runbook.includes(String(reason)))).toEqual([]);
    },
  );

  it('have a paragraph in the runbook for each alert', () => {
    const alerts = (parse(read('rules/alerts.yml')) as RuleFile).groups.flatMap(({ rules }) => rules);
    const headings = [...read('runbook.md').matchAll(/^## (\w+)$/gm)].map(([, name]) => name);
    expect(alerts.map(({ alert }) => alert).sort()).toEqual([...headings].sort());
    for (const { alert, annotations } of alerts) {
      expect(annotations?.runbook).toBe(`deployments/monitoring/runbook.md#${alert?.toLowerCase()}`);
    }
  });

  it('test every alert', () => {
    const tested = new Set(
      [...read('rules/alerts.test.yml').matchAll(/alertname: (\w+)/g)].map(([, name]) => name),
    );
    const alerts = [...read('rules/alerts.yml').matchAll(/alert: (\w+)/g)].map(([, name]) => name);
    expect(alerts.filter((name) => !tested.has(name))).toEqual([]);
  });

  it('lay the dashboard out on Grafana’s grid of 24 columns, every panel by itself and on the chosen data source', () => {
    const { panels } = JSON.parse(read(DASHBOARD)) as Dashboard;
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const taken = panels.flatMap(({ gridPos: { x, y, w, h } }) => {
      expect(x + w).toBeLessThanOrEqual(24);
      return Array.from({ length: w * h }, (_, cell) => `${x + (cell % w)} ${y + Math.floor(cell / w)}`);
    });
    expect(new Set(taken).size).toBe(taken.length);
    for (const { datasource, targets = [] } of panels.filter((panel) => panel.targets)) {
      expect(new Set(targets.map(({ refId }) => refId)).size).toBe(targets.length);
      for (const from of [datasource, ...targets.map((target) => target.datasource)]) {
        expect(from?.uid).toBe('${datasource}');
      }
    }
  });

  it('ask for the chosen releases only, of a Prometheus that watches other programs, too', () => {
    const { panels, annotations, templating } = JSON.parse(read(DASHBOARD)) as Dashboard;
    const chosen = 'job=~"$job", namespace=~"$namespace"';
    const queries = [...panels.flatMap(({ targets = [] }) => targets), ...annotations.list];
    for (const { expr } of queries) {
      const selectors = expr.match(/\{[^}]+\}/g) ?? [];
      expect(selectors, expr).not.toEqual([]);
      expect(selectors.filter((selector) => !selector.includes(chosen))).toEqual([]);
    }
    const variables = new Map(templating.list.map((variable) => [variable.name, variable]));
    for (const name of ['instance', 'provider', 'model'])
      expect(variables.get(name)?.definition).toContain(`{${chosen}}`);
    // `.*` would be every job; of the other names it is those without one, too: `namespace` is Kubernetes' alone.
    expect(variables.get('job')?.allValue).toBeUndefined();
    expect(variables.get('namespace')).toMatchObject({ allValue: '.*', includeAll: true });
  });

  it('divide by no traffic nowhere: a share of nothing is no number, which `or vector(0)` does not make a zero', () => {
    const { panels } = JSON.parse(read(DASHBOARD)) as Dashboard;
    const shares = panels.flatMap(({ targets = [] }) =>
      targets.map(({ expr }) => expr).filter((expr) => expr.includes(' / ')),
    );
    expect(shares).not.toEqual([]);
    expect(shares.filter((expr) => !/ > 0\)/.test(expr))).toEqual([]);
  });
});
