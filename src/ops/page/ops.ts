/** Runs in the browser: asks the API every few seconds and shows what it says. */
import type { PageDocument, PageElement, PageStorage } from './browser.js';
import { between, count, duration, type Histogram, money, percent, quantile, seconds } from './figures.js';
import {
  type Breaker,
  breakersTable,
  componentsTable,
  countsTable,
  type Detailed,
  historyBars,
  type ModelRow,
  moneyTable,
  type Past,
  type System,
  systemTiles,
  tile,
  tone,
  trafficTable,
} from './views.js';

declare const document: PageDocument;
declare const sessionStorage: PageStorage;

interface Summary {
  readonly environment: string;
  readonly version: string;
  readonly currency: string;
  readonly workers: number;
  readonly requests: { readonly total: number; readonly failed: number };
  readonly models: readonly ModelRow[];
  readonly errors: Readonly<Record<string, number>>;
  readonly attempts: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly latency: Histogram;
  readonly first_token: Histogram;
  readonly overhead: Histogram;
  readonly rate_limits: Readonly<Record<string, number>>;
  readonly money: Readonly<Record<string, number>>;
  readonly streams_open: number;
  readonly cost_total: number;
  readonly tokens_total: number;
}

interface Reading {
  readonly atMs: number;
  readonly summary: Summary;
}

const INTERVAL_MS = 5_000;
/** Five minutes of readings. */
const READINGS = 60;
const HISTORY = 60;
const TOKEN = 'gateway-admin-token';
/** Any of these is worth a look. */
const ALARMS = ['shortfall_total', 'unknown_cost_total', 'audit_mismatches'];

const readings: Reading[] = [];
let timer: ReturnType<typeof setTimeout> | undefined;

function part(id: string): PageElement {
  const found = document.querySelector(`#${id}`);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

async function get<Answer>(path: string, token?: string): Promise<Answer> {
  const response = await fetch(
    path,
    token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } },
  );
  if (!response.ok) throw new Refused(response.status);
  return (await response.json()) as Answer;
}

class Refused extends Error {
  constructor(readonly status: number) {
    super(`HTTP ${status}`);
  }
}

async function refresh(): Promise<void> {
  clearTimeout(timer);
  if (!document.hidden) {
    await showHealth().catch(() => showStatus('not reachable', 'bad'));
    await showTraffic().catch(onRefused);
  }
  timer = setTimeout(() => void refresh(), INTERVAL_MS);
}

async function showHealth(): Promise<void> {
  const [detailed, breakers, past, system] = await Promise.all([
    get<Detailed>('/health/detailed'),
    get<{ circuit_breakers: Readonly<Record<string, Breaker>> }>('/health/circuit-breakers'),
    get<{ history: readonly Past[] }>(`/health/history?limit=${HISTORY}`),
    get<System>('/health/system'),
  ]);
  showStatus(
    detailed.draining ? 'draining' : detailed.status,
    detailed.draining ? 'warn' : tone(detailed.status),
  );
  part('updated').textContent = `updated ${new Date().toLocaleTimeString()}`;
  part('build').textContent = detailed.version;
  part('components').replaceChildren(componentsTable(detailed.components));
  part('breakers').replaceChildren(breakersTable(breakers.circuit_breakers));
  part('history').replaceChildren(...historyBars(past.history));
  part('system').replaceChildren(...systemTiles(system));
}

async function showTraffic(): Promise<void> {
  const token = sessionStorage.getItem(TOKEN);
  showSignedIn(token !== null);
  if (token === null) return;
  const summary = await get<Summary>('/admin/ops/summary', token);
  if (summary.requests.total < (readings.at(-1)?.summary.requests.total ?? 0)) readings.length = 0; // it was restarted
  readings.push({ atMs: Date.now(), summary });
  if (readings.length > READINGS) readings.shift();
  part('build').textContent = `${summary.version} · ${summary.environment} · ${summary.workers} worker(s)`;
  part('tiles').replaceChildren(...liveTiles(summary));
  part('traffic').replaceChildren(trafficTable(summary.models, summary.currency));
  part('money').replaceChildren(moneyTable(summary.money));
  part('errors').replaceChildren(
    countsTable('Error code', summary.errors),
    ...Object.entries(summary.attempts).map(([provider, outcomes]) =>
      countsTable(`Calls to ${provider}`, outcomes),
    ),
    countsTable('Rate limit', summary.rate_limits),
  );
}

function liveTiles(now: Summary): PageElement[] {
  const first = readings[0];
  const minutes = first ? Math.max((Date.now() - first.atMs) / 60_000, INTERVAL_MS / 60_000) : 1;
  const since = (read: (summary: Summary) => number) => read(now) - (first ? read(first.summary) : 0);
  const requests = since((summary) => summary.requests.total);
  const failed = since((summary) => summary.requests.failed);
  const latency = between(first?.summary.latency, now.latency);
  const firstToken = between(first?.summary.first_token, now.first_token);
  const overhead = between(first?.summary.overhead, now.overhead);
  const alarms = ALARMS.reduce((sum, name) => sum + (now.money[name] ?? 0), 0);
  return [
    tile('Requests / min', count(requests / minutes), { trend: trend((summary) => summary.requests.total) }),
    tile('Failed', requests === 0 ? '–' : percent(failed / requests), {
      alarm: requests > 0 && failed / requests > 0.05,
    }),
    tile('Charged / min', money(since((summary) => summary.cost_total) / minutes, now.currency), {
      trend: trend((summary) => summary.cost_total),
    }),
    tile('Tokens / min', count(since((summary) => summary.tokens_total) / minutes), {
      trend: trend((summary) => summary.tokens_total),
    }),
    tile('Duration p50 · p95', `${seconds(quantile(latency, 0.5))} · ${seconds(quantile(latency, 0.95))}`),
    tile('First token p50', seconds(quantile(firstToken, 0.5))),
    tile('Gateway’s share p99', seconds(quantile(overhead, 0.99))),
    tile('Streams open', count(now.streams_open)),
    tile('Money alarms', count(alarms), { alarm: alarms > 0 }),
    tile('Window', duration(minutes * 60)),
  ];
}

/** How much a counter grew from reading to reading. */
function trend(read: (summary: Summary) => number): number[] {
  return readings
    .slice(1)
    .map((reading, index) => read(reading.summary) - read(readings[index]?.summary ?? reading.summary));
}

function showStatus(word: string, colour: string): void {
  part('status').textContent = word;
  part('status').className = `pill ${colour}`;
}

function showSignedIn(isSignedIn: boolean): void {
  part('sign-in').hidden = isSignedIn;
  part('sign-out').hidden = !isSignedIn;
  for (const id of ['live', 'traffic-section', 'money-section', 'errors-section'])
    part(id).hidden = !isSignedIn;
}

function onRefused(error: unknown): void {
  if (!(error instanceof Refused) || (error.status !== 401 && error.status !== 403)) return;
  forgetToken();
  part('sign-in-error').textContent =
    error.status === 403 ? 'This token has no admin role.' : 'This token is not valid (any more).';
  part('token').focus();
}

function forgetToken(): void {
  sessionStorage.removeItem(TOKEN);
  readings.length = 0;
  showSignedIn(false);
}

part('sign-in').addEventListener('submit', (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, part('token').value.trim());
  part('token').value = '';
  part('sign-in-error').textContent = '';
  void refresh();
});
part('sign-out').addEventListener('click', forgetToken);
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) void refresh();
});

void refresh();
