/** Runs in the browser: answers of the API -> elements. */
import {
  type Breaker,
  type Component,
  type Detailed,
  groupOf,
  type ModelRow,
  type Past,
  singleComponents,
  type Summary,
  type System,
} from './answers.js';
import type { PageElement } from './browser.js';
import { bytes, count, describeDetails, duration, money, percent, quantile, seconds } from './figures.js';
import type { Problem } from './problems.js';
import { type Cell, element, number, pill, table, tile, tone } from './tables.js';
import type { TrafficWindow } from './traffic-window.js';

export function problemList(found: readonly Problem[]): PageElement[] {
  if (found.length === 0) return [element('li', 'fine', 'None.')];
  return found.map(({ severity, title, advice, runbook }) => {
    const item = element('li', severity);
    item.append(
      element('strong', '', title),
      element('span', 'advice', advice),
      element('span', 'quiet', `Runbook: ${runbook}`),
    );
    return item;
  });
}

export function liveTiles(traffic: TrafficWindow, now: Summary): PageElement[] {
  const requests = traffic.grown((summary) => summary.requests.total);
  const failed = traffic.grown((summary) => summary.requests.failed);
  const latency = traffic.histogram((summary) => summary.latency);
  const firstToken = traffic.histogram((summary) => summary.first_token);
  const overhead = traffic.histogram((summary) => summary.overhead);
  const rate = (read: (summary: Summary) => number, show: (value: number) => string) => {
    const perMinute = traffic.perMinute(read);
    return perMinute === undefined ? '…' : show(perMinute);
  };
  const total = (summary: Summary) => summary.requests.total;
  const tokens = (summary: Summary) => summary.tokens_total;
  const cost = (summary: Summary) => summary.cost_total;
  return [
    tile('Requests / min', rate(total, count), { trend: traffic.trend(total) }),
    tile('Failed (5xx)', requests === 0 ? '–' : percent(failed / requests), {
      tone: requests > 0 && failed / requests > 0.05 ? 'bad' : undefined,
      trend: traffic.trend((summary) => summary.requests.failed),
    }),
    tile('Tokens / min', rate(tokens, count), { trend: traffic.trend(tokens) }),
    tile(
      'Charged / min',
      rate(cost, (value) => money(value, now.currency)),
      { trend: traffic.trend(cost) },
    ),
    tile('Duration p50', seconds(quantile(latency, 0.5))),
    tile('Duration p95', seconds(quantile(latency, 0.95))),
    tile('First token p50', seconds(quantile(firstToken, 0.5))),
    tile('Gateway overhead p99', seconds(quantile(overhead, 0.99))),
    tile('Open streams', count(now.streams_open)),
  ];
}

export function moneyTiles(now: Summary): PageElement[] {
  const value = (name: string) => now.money[name] ?? 0;
  const alarm = (name: string, tone: 'bad' | 'warn', above = 0) => ({
    tone: value(name) > above ? tone : undefined,
  });
  const amount = (name: string) => money(value(name), now.currency);
  return [
    tile('Charged since startup', money(now.cost_total, now.currency)),
    tile('Open holds', count(value('holds_open'))),
    tile('Charges not yet booked', count(value('journal_unsettled_records'))),
    tile(
      'Oldest of these charges',
      seconds(value('journal_oldest_seconds')),
      alarm('journal_oldest_seconds', 'bad', 60),
    ),
    tile('Served on credit', amount('outage_credit_used'), alarm('outage_credit_used', 'warn')),
    tile('Could not be charged', amount('shortfall_total'), alarm('shortfall_total', 'bad')),
    tile('Calls of unknown cost', count(value('unknown_cost_total')), alarm('unknown_cost_total', 'warn')),
    tile('Audit mismatches', count(value('audit_mismatches')), alarm('audit_mismatches', 'bad')),
  ];
}

export function providersTable(
  detailed: Detailed,
  breakers: Readonly<Record<string, Breaker>>,
  summary: Summary | undefined,
): PageElement {
  const rows = Object.entries(groupOf(detailed, 'providers')).map(([provider, component]) => [
    provider,
    pill(component.status),
    number(latency(component)),
    circuits(breakers[provider]?.models ?? {}),
    ...(summary ? [calls(summary.attempts[provider] ?? {})] : []),
  ]);
  const headings = ['Provider', 'Status', 'Latency', 'Circuits', ...(summary ? ['Calls since startup'] : [])];
  return table(headings, rows, 'No provider is configured.');
}

export function componentsTable(detailed: Detailed): PageElement {
  const rows = singleComponents(detailed).map(([name, component]) => componentRow(name, component));
  return table(['Component', 'Status', 'Latency', 'Details'], rows, 'No component has been checked yet.');
}

export function historyBars(past: readonly Past[]): PageElement[] {
  return [...past].reverse().map(({ timestamp, status }) => {
    const text = `${new Date(timestamp).toLocaleTimeString()}: ${status}`;
    const bar = element('li', tone(status));
    bar.setAttribute('title', text);
    bar.append(element('span', '', text));
    return bar;
  });
}

export function historyText(past: readonly Past[]): string {
  const oldest = past.at(-1);
  if (!oldest) return 'No check has run yet.';
  const well = past.filter(({ status }) => status === 'healthy').length;
  return `${well} of ${past.length} healthy since ${new Date(oldest.timestamp).toLocaleTimeString()}`;
}

export function trafficTable(models: readonly ModelRow[], currency: string): PageElement {
  const rows = models.map((row) => [
    row.model,
    row.provider,
    number(count(row.requests)),
    number(row.requests === 0 ? '–' : percent(row.failed / row.requests)),
    number(count(row.input_tokens)),
    number(count(row.output_tokens)),
    number(money(row.cost, currency)),
  ]);
  return table(
    ['Model', 'Provider', 'Requests', 'Failed (5xx)', 'Tokens in', 'Tokens out', 'Charged'],
    rows,
    'No requests yet.',
  );
}

export function countsTable(caption: string, counts: Readonly<Record<string, number>>): PageElement {
  const rows = Object.entries(counts)
    .sort(([, left], [, right]) => right - left)
    .map(([name, value]) => [name.replaceAll('_', ' '), number(count(value))]);
  const box = element('div', 'scroll');
  box.append(table([caption, 'Count'], rows, `${caption}: none.`));
  return box;
}

export function systemTiles(system: System): PageElement[] {
  const heapShare = system.heap.used_bytes / system.heap.limit_bytes;
  return [
    tile('CPU (of one core)', percent(system.cpu.percent / 100)),
    tile('Memory (RSS)', bytes(system.memory.rss_bytes)),
    tile('Heap', percent(heapShare), { tone: heapShare > 0.9 ? 'bad' : undefined }),
    tile('Event loop turn, p99', seconds(system.event_loop.p99_ms / 1000), {
      tone: system.event_loop.p99_ms > 200 ? 'warn' : undefined,
    }),
    tile('Event loop busy', percent(system.event_loop.utilization)),
    tile('Disk free', bytes(system.disk.free_bytes), { tone: system.disk.percent > 95 ? 'bad' : undefined }),
    tile('Connections', count(system.connections.open)),
    tile('Uptime', duration(system.uptime_seconds)),
  ];
}

/** Nothing was asked: a breaker is open, or the state is in memory. */
function latency({ latency_ms: ms }: Component): string {
  return seconds(ms === 0 ? undefined : ms / 1000);
}

function componentRow(name: string, component: Component): Cell[] {
  return [
    name.replaceAll('_', ' '),
    pill(component.status),
    number(latency(component)),
    element('span', 'details', describeDetails(component.details)),
  ];
}

/** The circuits that are not closed, by name; the closed ones by number. */
function circuits(models: Readonly<Record<string, Breaker>>): PageElement {
  const box = element('span', 'details');
  const known = Object.entries(models);
  const troubled = known.filter(([, { state }]) => state !== 'closed');
  for (const [model, { state }] of troubled) {
    const line = element('span', 'circuit');
    line.append(pill(state), ` ${model}`);
    box.append(line);
  }
  const closed = known.length - troubled.length;
  if (closed > 0 || known.length === 0)
    box.append(element('span', 'circuit', closed === 0 ? 'not used yet' : `${closed} closed`));
  return box;
}

function calls(outcomes: Readonly<Record<string, number>>): PageElement {
  const sorted = Object.entries(outcomes).sort(([, left], [, right]) => right - left);
  const text = sorted
    .map(([outcome, value]) => `${count(value)} ${outcome.replaceAll('_', ' ')}`)
    .join(' · ');
  return element('span', 'details', text === '' ? 'none' : text);
}
