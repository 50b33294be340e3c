/** Runs in the browser: answers of the API -> elements. Text is always set as text, never as HTML. */
import type { PageDocument, PageElement } from './browser.js';
import { bytes, count, duration, money, percent, seconds, sparkline } from './figures.js';

declare const document: PageDocument;

export interface Component {
  readonly status: string;
  readonly latency_ms: number;
  readonly details: Readonly<Record<string, unknown>>;
}

export interface Detailed {
  readonly status: string;
  readonly draining: boolean;
  readonly version: string;
  readonly components: Readonly<Record<string, Component | Readonly<Record<string, Component>>>>;
}

export interface Breaker {
  readonly state: string;
  readonly failures: number;
  readonly next_attempt_at: string | null;
  readonly models?: Readonly<Record<string, Breaker>>;
}

export interface Past {
  readonly timestamp: string;
  readonly status: string;
}

export interface System {
  readonly uptime_seconds: number;
  readonly cpu: { readonly percent: number; readonly cores: number };
  readonly memory: { readonly rss_bytes: number };
  readonly heap: { readonly used_bytes: number; readonly limit_bytes: number };
  readonly event_loop: { readonly p99_ms: number; readonly utilization: number };
  readonly disk: { readonly free_bytes: number; readonly percent: number };
  readonly connections: { readonly open: number };
}

export interface ModelRow {
  readonly model: string;
  readonly provider: string;
  readonly requests: number;
  readonly failed: number;
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly cost: number;
}

const TONES: Readonly<Record<string, string>> = {
  up: 'good',
  healthy: 'good',
  closed: 'good',
  degraded: 'warn',
  half_open: 'warn',
  down: 'bad',
  unhealthy: 'bad',
  open: 'bad',
};

/** Colour never stands alone: the word is in it. */
export function pill(word: string): PageElement {
  return element('span', `pill ${tone(word)}`, word.replace('_', ' '));
}

export function tone(word: string): string {
  return TONES[word] ?? '';
}

export function tile(
  label: string,
  value: string,
  options: { trend?: readonly number[]; alarm?: boolean } = {},
): PageElement {
  const box = element('div', options.alarm ? 'tile alarm' : 'tile');
  box.append(element('span', 'quiet', label), element('b', '', value));
  if (options.trend && options.trend.length > 1) box.append(trendLine(options.trend));
  return box;
}

export function componentsTable(components: Detailed['components']): PageElement {
  const rows = Object.entries(components).flatMap(([name, component]) =>
    isComponent(component)
      ? [componentRow(name, component)]
      : Object.entries(component).map(([member, one]) => componentRow(`${name} / ${member}`, one)),
  );
  return table(['Component', 'Status', 'Latency', 'Details'], rows, 'No component has been checked yet.');
}

export function breakersTable(breakers: Readonly<Record<string, Breaker>>): PageElement {
  const rows = Object.entries(breakers).flatMap(([provider, breaker]) => [
    breakerRow(provider, breaker),
    ...Object.entries(breaker.models ?? {}).map(([model, one]) => breakerRow(`${provider} / ${model}`, one)),
  ]);
  return table(['Provider', 'State', 'Failures', 'Next attempt'], rows, 'No provider has a breaker yet.');
}

export function historyBars(history: readonly Past[]): PageElement[] {
  return [...history].reverse().map(({ timestamp, status }) => {
    const bar = element('li', tone(status));
    bar.setAttribute('title', `${new Date(timestamp).toLocaleTimeString()}: ${status}`);
    bar.append(element('span', '', `${new Date(timestamp).toLocaleTimeString()} ${status}`));
    return bar;
  });
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
    ['Model', 'Provider', 'Requests', 'Failed', 'Tokens in', 'Tokens out', 'Charged'],
    rows,
    'No request yet.',
  );
}

export function moneyTable(figures: Readonly<Record<string, number>>): PageElement {
  const rows = Object.entries(figures).map(([name, value]) => [
    name.replace(/_(?:total|seconds)$/, '').replaceAll('_', ' '),
    number(name.endsWith('seconds') ? seconds(value) : count(value)),
  ]);
  return table(['Figure', 'Now'], rows, 'Nothing reported yet.');
}

export function countsTable(caption: string, counts: Readonly<Record<string, number>>): PageElement {
  const rows = Object.entries(counts)
    .sort(([, left], [, right]) => right - left)
    .map(([name, value]) => [name, number(count(value))]);
  const box = element('div', 'scroll');
  box.append(table([caption, 'Count'], rows, `${caption}: none.`));
  return box;
}

export function systemTiles(system: System): PageElement[] {
  const heapShare = system.heap.used_bytes / system.heap.limit_bytes;
  return [
    tile('CPU of one core', `${system.cpu.percent} %`),
    tile('Memory (RSS)', bytes(system.memory.rss_bytes)),
    tile('Heap', percent(heapShare), { alarm: heapShare > 0.9 }),
    tile('Event loop p99 late', seconds(system.event_loop.p99_ms / 1000), {
      alarm: system.event_loop.p99_ms > 200,
    }),
    tile('Event loop busy', percent(system.event_loop.utilization)),
    tile('Disk free', bytes(system.disk.free_bytes), { alarm: system.disk.percent > 95 }),
    tile('Connections', count(system.connections.open)),
    tile('Up for', duration(system.uptime_seconds)),
  ];
}

function componentRow(name: string, component: Component): (PageElement | string)[] {
  const details = Object.entries(component.details)
    .map(([key, value]) => `${key}: ${typeof value === 'object' ? JSON.stringify(value) : String(value)}`)
    .join(' · ');
  return [
    name.replaceAll('_', ' '),
    pill(component.status),
    number(seconds(component.latency_ms / 1000)),
    element('span', 'details', details),
  ];
}

function breakerRow(name: string, breaker: Breaker): (PageElement | string)[] {
  const next =
    breaker.next_attempt_at === null ? '–' : new Date(breaker.next_attempt_at).toLocaleTimeString();
  return [name, pill(breaker.state), number(String(breaker.failures)), next];
}

function isComponent(value: object): value is Component {
  return 'status' in value && typeof value.status === 'string';
}

/** A cell for figures, which stand to the right. */
function number(text: string): PageElement {
  return element('span', 'number', text);
}

function isNumber(content: PageElement | string | undefined): boolean {
  return typeof content === 'object' && content.className === 'number';
}

function table(
  headings: readonly string[],
  rows: readonly (PageElement | string)[][],
  empty: string,
): PageElement {
  if (rows.length === 0) return element('p', 'empty', empty);
  const head = element('tr');
  headings.forEach((heading, index) => {
    const cell = element('th', isNumber(rows[0]?.[index]) ? 'number' : '', heading);
    cell.setAttribute('scope', 'col');
    head.append(cell);
  });
  const top = element('thead');
  top.append(head);
  const body = element('tbody');
  body.append(...rows.map(tableRow));
  const whole = element('table');
  whole.append(top, body);
  return whole;
}

function tableRow(cells: readonly (PageElement | string)[]): PageElement {
  const row = element('tr');
  cells.forEach((content, index) => {
    const cell = element(index === 0 ? 'th' : 'td');
    if (index === 0) cell.setAttribute('scope', 'row');
    if (isNumber(content)) cell.className = 'number';
    cell.append(content);
    row.append(cell);
  });
  return row;
}

function trendLine(values: readonly number[]): PageElement {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 100 24');
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', sparkline(values));
  svg.append(path);
  return svg;
}

export function element(tag: string, className = '', text?: string): PageElement {
  const made = document.createElement(tag);
  if (className !== '') made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}
