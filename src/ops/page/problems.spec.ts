import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Health, Summary } from './answers.js';
import { describeDetails } from './figures.js';
import { problems } from './problems.js';
import { TrafficWindow } from './traffic-window.js';

const RUNBOOK = readFileSync(new URL('../../../deployments/monitoring/runbook.md', import.meta.url), 'utf8');

const up = { status: 'up', latency_ms: 1, details: {} };
const closed = { state: 'closed', failures: 0, next_attempt_at: null, last_failure: null };

function health(changes: Partial<Health['detailed']> = {}, rest: Partial<Health> = {}): Health {
  return {
    detailed: {
      status: 'healthy',
      draining: false,
      version: '1',
      components: { database: up, billing_journal: up, providers: { openai: up } },
      ...changes,
    },
    breakers: { openai: { ...closed, models: { 'gpt-4': closed } } },
    past: [],
    system: {
      uptime_seconds: 1,
      cpu: { percent: 1, cores: 1 },
      memory: { rss_bytes: 1 },
      heap: { used_bytes: 1, limit_bytes: 10 },
      event_loop: { p99_ms: 1, utilization: 0.1, cpu: 0.1 },
      disk: { free_bytes: 1, percent: 10 },
      connections: { open: 1 },
    },
    ...rest,
  };
}

function summary(changes: Partial<Summary> = {}): Summary {
  const none = { bounds: [0.01, 0.1, 1], counts: [0, 0, 0], count: 0 };
  return {
    environment: 'test',
    version: '1',
    currency: 'USD',
    workers: 1,
    worker_deaths: 0,
    requests: { total: 0, failed: 0 },
    models: [],
    errors: {},
    attempts: {},
    latency: none,
    first_token: none,
    overhead: none,
    rate_limits: {},
    money: {},
    streams_open: 0,
    cost_total: 0,
    tokens_total: 0,
    dropped: {},
    ...changes,
  };
}

function traffic(...readings: Partial<Summary>[]): TrafficWindow {
  const window = new TrafficWindow();
  readings.forEach((reading, index) => window.add(summary(reading), index * 30_000));
  return window;
}

const found = (given: Health, window = traffic()) => problems(given, window).map(({ runbook }) => runbook);

describe('what is wrong', () => {
  it('is nothing while all is well', () => {
    expect(problems(health(), traffic({}, { requests: { total: 100, failed: 1 } }))).toEqual([]);
  });

  it('is a refused key once, whoever met it: the look at the provider, or a request', () => {
    const openai = { ...up, status: 'down', details: { error: 'provider_auth_failed' } };
    const refused = health({ components: { providers: { openai } } });
    const used = { attempts: { openai: { provider_auth_failed: 3 } } };
    expect(found(refused)).toEqual(['ProviderKeyRefused']);
    expect(found(refused, traffic({}, used))).toEqual(['ProviderKeyRefused']);
  });

  it('is told with its reason where the component says one', () => {
    const database = { ...up, status: 'degraded', details: { reason: 'it has too many connections' } };
    expect(problems(health({ components: { database } }), traffic())[0]).toMatchObject({
      severity: 'bad',
      title: 'The database is unavailable: it has too many connections',
    });
    const missed = { ...database, status: 'down', details: { reason: 'migrations are pending' } };
    expect(problems(health({ components: { database: missed } }), traffic())[0]).toMatchObject({
      severity: 'bad',
      title: 'Nobody is served without the database: migrations are pending',
      runbook: 'GatewayCannotServe',
    });
  });

  it.each([
    [
      'a database that is away',
      health({ components: { database: { ...up, status: 'degraded' } } }),
      'OutageCreditInUse',
    ],
    [
      'a journal that takes nothing',
      health({ components: { billing_journal: { ...up, status: 'down' } } }),
      'JournalNotSettling',
    ],
    [
      'Redis away',
      health({ components: { rate_limits: { ...up, status: 'degraded' } } }),
      'RateLimitsDegraded',
    ],
    ['an instance that drains', health({ draining: true }), 'GatewayInstanceDown'],
    [
      'a component nobody thought of',
      health({ components: { moon: { ...up, status: 'down' } } }),
      'GatewayUnexpectedErrors',
    ],
    [
      'a provider that is away',
      health({ components: { providers: { openai: { ...up, status: 'down' } } } }),
      'ProviderFailing',
    ],
    [
      'an open circuit',
      health({}, { breakers: { openai: { ...closed, models: { 'gpt-4': { ...closed, state: 'open' } } } } }),
      'ProviderCircuitOpen',
    ],
    [
      'a full disk',
      health({}, { system: { ...health().system, disk: { free_bytes: 0, percent: 99 } } }),
      'JournalNotSettling',
    ],
    [
      'a full heap',
      health({}, { system: { ...health().system, heap: { used_bytes: 95, limit_bytes: 100 } } }),
      'GatewayEventLoopLate',
    ],
    [
      'a late event loop',
      health({}, { system: { ...health().system, event_loop: { p99_ms: 300, utilization: 1, cpu: 0.9 } } }),
      'GatewayEventLoopLate',
    ],
  ])('is %s', (_what, given, runbook) => {
    expect(found(given)).toEqual([runbook]);
  });

  it.each<[string, Partial<Summary>, Partial<Summary>, string]>([
    [
      'many failures',
      { requests: { total: 100, failed: 50 } },
      { requests: { total: 200, failed: 60 } },
      'GatewayErrorRateHigh',
    ],
    [
      'a refused key',
      { attempts: { openai: {} } },
      { attempts: { openai: { provider_auth_failed: 1 } } },
      'ProviderKeyRefused',
    ],
    [
      'a shortfall, however old',
      { money: { shortfall_total: 1 } },
      { money: { shortfall_total: 1 } },
      'ChargeShortfall',
    ],
    ['an audit', {}, { money: { audit_mismatches: 2 } }, 'LedgerAuditMismatch'],
    ['an old charge', {}, { money: { journal_oldest_seconds: 61 } }, 'JournalNotSettling'],
    ['credit', {}, { money: { outage_credit_used: 0.5 } }, 'OutageCreditInUse'],
    ['unknown cost', {}, { money: { unknown_cost_total: 1 } }, 'ProviderCostUnknown'],
    ['a worker that dies', { worker_deaths: 0 }, { worker_deaths: 1 }, 'GatewayKeepsDying'],
    ['a worker that died before', { worker_deaths: 3 }, { worker_deaths: 3 }, 'GatewayKeepsDying'],
    ['dropped records', { dropped: { log: 1 } }, { dropped: { log: 2 } }, 'GatewayTelemetryDropped'],
    [
      'a slow gateway',
      {},
      {
        requests: { total: 50, failed: 0 },
        overhead: { bounds: [0.01, 0.1, 1], counts: [0, 0, 50], count: 50 },
      },
      'GatewayOverheadHigh',
    ],
  ])('is %s', (_what, before, after, runbook) => {
    expect(found(health(), traffic(before, after))).toEqual([runbook]);
  });

  it('says of charges that wait that they are safe, once, and not that nobody is served', () => {
    const details = { writable: true, fenced: false, unsettled_records: 9, oldest_seconds: 87 };
    const late = health({ components: { billing_journal: { status: 'degraded', latency_ms: 0, details } } });
    const listed = problems(late, traffic({}, { money: { journal_oldest_seconds: 88 } }));
    expect(listed).toMatchObject([{ severity: 'bad', runbook: 'JournalNotSettling' }]);
    expect(listed[0]?.title).toBe('Charges have been waiting in the journal for more than a minute');
    expect(JSON.stringify(problems(late, traffic()))).not.toMatch(/serves nobody|cannot be written/);
  });

  it('is still the refused key when the circuit has been open for long', () => {
    const last_failure = { code: 'provider_auth_failed', status: 401, connection: null };
    const models = { 'gpt-4': { ...closed, state: 'open', last_failure } };
    const listed = found(health({}, { breakers: { openai: { ...closed, models } } }), traffic());
    expect(listed).toEqual(['ProviderKeyRefused', 'ProviderCircuitOpen']);
  });

  it('is not what was over before anybody looked', () => {
    const old = {
      requests: { total: 100, failed: 50 },
      money: { unknown_cost_total: 3 },
      dropped: { log: 9 },
    };
    expect(found(health(), traffic(old, old))).toEqual([]);
  });

  it.each([
    [0, 2, 'bad', '2 workers died in the last few minutes, 2 since startup'],
    [2, 3, 'bad', '1 worker died in the last few minutes, 3 since startup'],
    [1, 1, 'warn', '1 worker died since startup'],
  ])('tells of workers that died, the worse the later: %i, then %i', (before, after, severity, title) => {
    const window = traffic({ worker_deaths: before }, { worker_deaths: after });
    expect(problems(health(), window)).toMatchObject([{ severity, title }]);
  });

  it.each([
    ['a machine that is short', { p99_ms: 300, utilization: 0.9, cpu: 0.4 }, /^The process has to wait/],
    [
      'one long wait on an idle one',
      { p99_ms: 300, utilization: 0.05, cpu: 0.02 },
      /^The process has to wait/,
    ],
    ['too much to do', { p99_ms: 300, utilization: 0.95, cpu: 0.9 }, /more work than one core/],
    ['one long turn', { p99_ms: 300, utilization: 0.1, cpu: 0.09 }, /^Single event loop turns .* 300 ms/],
  ])('blames for a late event loop whom it should: %s', (_what, event_loop, title) => {
    const component = { status: 'degraded', latency_ms: 1, details: event_loop };
    const late = { system: { ...health().system, event_loop } };
    for (const given of [health({}, late), health({ components: { event_loop: component } }, late)]) {
      expect(problems(given, traffic()).map((problem) => problem.title)).toEqual([
        expect.stringMatching(title),
      ]);
    }
  });

  it.each([
    [{ code: 'provider_overloaded', status: 503, connection: null }, 'provider overloaded (HTTP 503)'],
    [{ code: 'provider_overloaded', status: null, connection: 'refused' }, 'provider overloaded (refused)'],
    [{ code: 'first_chunk_timeout', status: null, connection: null }, 'first chunk timeout. The next'],
  ])('says how the calls failed that opened a circuit: %j', (last_failure, words) => {
    const models = { 'gpt-4': { ...closed, state: 'open', failures: 5, last_failure } };
    const [problem] = problems(health({}, { breakers: { openai: { ...closed, models } } }), traffic());
    expect(problem?.advice).toContain(`5 consecutive calls failed, the last one with ${words}`);
  });

  it.each([
    [-1_000, 'The next request tries it again.', 'get 503'],
    [60_000, 'until then, requests go to fallbacks or get 503.', 'next request'],
  ])('says what happens to requests of a circuit to be tried in %i ms', (inMs, told, untold) => {
    const next_attempt_at = new Date(Date.now() + inMs).toISOString();
    const models = { 'gpt-4': { ...closed, state: 'open', next_attempt_at } };
    const [problem] = problems(health({}, { breakers: { openai: { ...closed, models } } }), traffic());
    expect(problem?.advice).toContain(told);
    expect(problem?.advice).not.toContain(untold);
  });

  it('begins with the worst, and names paragraphs that the runbook has', () => {
    const given = health({
      components: { cache: { ...up, status: 'degraded' }, billing_journal: { ...up, status: 'down' } },
    });
    const listed = problems(given, traffic());
    expect(listed.map(({ severity }) => severity)).toEqual(['bad', 'warn']);
    const source = readFileSync(new URL('problems.ts', import.meta.url), 'utf8');
    const named = [...source.matchAll(/'((?:Gateway|Provider|Ledger|Charge|Journal|Outage|Rate)[A-Z]\w+)'/g)];
    expect(named.length).toBeGreaterThan(10);
    for (const [, name] of named) expect(RUNBOOK).toContain(`## ${name}\n`);
  });
});

describe('the window of the last minutes', () => {
  it('tells rates between its first and its last reading, and none of one reading', () => {
    const total = (reading: Summary) => reading.requests.total;
    expect(traffic({ requests: { total: 7, failed: 0 } }).perMinute(total)).toBeUndefined();
    const window = traffic(
      { requests: { total: 10, failed: 0 } },
      {},
      { requests: { total: 30, failed: 0 } },
    );
    expect(window.seconds).toBe(30); // the fall in between was a restart
    expect(window.perMinute(total)).toBe(60);
    expect(window.trend(total)).toEqual([30]);
  });

  it('forgets what is older than five minutes', () => {
    const window = new TrafficWindow();
    for (let i = 0; i < 200; i++) window.add(summary({ requests: { total: i, failed: 0 } }), i * 5_000);
    expect(window.seconds).toBe(295);
  });
});

describe('details of a component', () => {
  it('read as words', () => {
    expect(
      describeDetails({
        writable: true,
        oldest_seconds: 61,
        p99_ms: 12.5,
        pool: { total: 3, idle: 2 },
        error: 'database_unavailable',
      }),
    ).toBe('writable yes · oldest 61 s · p99 12.5 ms · pool: total 3, idle 2 · error database unavailable');
  });
});

describe('the colours', () => {
  const css = readFileSync(new URL('ops.css', import.meta.url), 'utf8');
  const [light = '', dark = ''] = css.split('prefers-color-scheme: dark');
  const schemes = { light: colours(light), dark: colours(dark.slice(0, dark.indexOf('* {'))) };

  it.each([
    ['text', 'background'],
    ['text', 'surface'],
    ['quiet', 'background'],
    ['quiet', 'surface'],
    ['accent', 'background'],
    ...['good', 'warn', 'bad'].flatMap((name) => [
      [name, `${name}-surface`],
      [name, 'surface'],
      ['text', `${name}-surface`],
    ]),
  ] as [string, string][])('%s on %s can be read in both schemes (WCAG AA)', (front, back) => {
    for (const scheme of Object.values(schemes)) {
      expect(contrast(scheme[front] ?? '', scheme[back] ?? '')).toBeGreaterThanOrEqual(4.5);
    }
  });
});

function colours(css: string): Record<string, string> {
  return Object.fromEntries(
    [...css.matchAll(/--([\w-]+): (#[0-9a-f]{3,6});/g)].map(([, name, hex]) => [name, hex]),
  );
}

/** As WCAG 2.2 counts it: 1 to 21. */
function contrast(front: string, back: string): number {
  const [high = 0, low = 0] = [luminance(front), luminance(back)].sort((left, right) => right - left);
  return (high + 0.05) / (low + 0.05);
}

function luminance(hex: string): number {
  const digits =
    hex
      .replace(/^#(.)(.)(.)$/, '#$1$1$2$2$3$3')
      .slice(1)
      .match(/../g) ?? [];
  const [red = 0, green = 0, blue = 0] = digits.map((pair) => {
    const share = Number.parseInt(pair, 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
