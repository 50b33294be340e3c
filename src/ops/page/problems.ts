/** Runs in the browser. Pure: answers of the API -> what is wrong, in an operator's words, the worst first. */
import {
  type Breaker,
  type Component,
  type EventLoop,
  groupOf,
  type Health,
  singleComponents,
} from './answers.js';
import { count, money, percent, quantile, seconds } from './figures.js';
import type { TrafficWindow } from './traffic-window.js';

export interface Problem {
  readonly severity: 'bad' | 'warn';
  readonly title: string;
  readonly advice: string;
  /** The paragraph of deployments/monitoring/runbook.md. */
  readonly runbook: string;
}

const FAILED_SHARE = 0.05;
const FEW_REQUESTS = 20;
const OVERHEAD_SECONDS = 0.05;
const LATE_MS = 200;
/** A loop that gets less of its busy time on a core is kept waiting; one that is busy for longer has too much to do. */
const RUNNING_SHARE = 0.7;
const BUSY_SHARE = 0.7;
const HEAP_SHARE = 0.9;
const DISK_PERCENT = 95;
const OLD_SECONDS = 60;

/** What each component's trouble means. Those not named are told by their status alone. */
const COMPONENTS: Readonly<Record<string, Omit<Problem, 'severity'>>> = {
  database: {
    title: 'The database is unavailable',
    advice:
      'Charges wait in the journal. Known users are served on credit (BILLING_OUTAGE_MODE, BILLING_OUTAGE_CREDIT), all ' +
      'others get 503. Bring PostgreSQL back; npm run check:db shows what is wrong with it.',
    runbook: 'OutageCreditInUse',
  },
  billing_journal: {
    title: 'The billing journal cannot be written',
    advice:
      'This instance serves nobody. Either the disk of DATA_DIR is full or gone, or the instance was declared dead (fenced) and must be restarted.',
    runbook: 'JournalNotSettling',
  },
  rate_limits: {
    title: 'Each instance counts rate limits on its own',
    advice:
      'Redis is unavailable or slow. No request fails because of it. Each instance grants its share: together at most 1.2 times the limit.',
    runbook: 'RateLimitsDegraded',
  },
  cache: {
    title: 'The cache works without Redis',
    advice: 'Answers that could come from the cache are requested from providers again. Bring Redis back.',
    runbook: 'RateLimitsDegraded',
  },
};

/** Nobody is served on credit: it is used up, or none is given. */
const NO_DATABASE: Omit<Problem, 'severity'> = {
  title: 'Nobody is served without the database',
  advice:
    'The outage credit is used up, or there is none (BILLING_OUTAGE_MODE, BILLING_OUTAGE_CREDIT). Bring PostgreSQL back, or apply ' +
    'pending migrations (migration:run); npm run check:db shows what is wrong.',
  runbook: 'GatewayCannotServe',
};

export function problems(health: Health, traffic: TrafficWindow): Problem[] {
  const found = [
    ...ofState(health),
    ...ofProviders(health),
    ...ofMoney(traffic),
    ...ofTraffic(traffic),
    ...ofProcess(health),
    ...ofWorkers(traffic),
  ];
  const byTitle = new Map(found.map((problem) => [problem.title, problem]));
  const isBad = ({ severity }: Problem) => severity === 'bad';
  return [...byTitle.values()].sort((left, right) => Number(isBad(right)) - Number(isBad(left)));
}

export function notReachable(lastAnswer: Date | undefined): Problem {
  const below = lastAnswer === undefined ? '' : ` The data below is from ${lastAnswer.toLocaleTimeString()}.`;
  return bad(
    'The gateway does not answer',
    `It is down or hanging, or the network between it and this page is interrupted.${below}`,
    'GatewayInstanceDown',
  );
}

function ofState({ detailed }: Health): Problem[] {
  const draining = warn(
    'This instance is draining',
    'It finishes its running requests, accepts no new ones, and exits.',
    'GatewayInstanceDown',
  );
  const troubled = singleComponents(detailed).filter(([, { status }]) => status !== 'up');
  return [...(detailed.draining ? [draining] : []), ...troubled.map(componentProblem)];
}

function componentProblem([name, { status, details }]: [string, Component]): Problem {
  if (name === 'event_loop') return lateLoop(details as unknown as EventLoop);
  if (name === 'billing_journal' && status === 'degraded') return waitingCharges();
  const isMissed = name === 'database' && status === 'down';
  const known = (isMissed ? NO_DATABASE : COMPONENTS[name]) ?? {
    title: `${name.replaceAll('_', ' ')} is ${status}`,
    advice: 'See the details below, and the log.',
    runbook: 'GatewayUnexpectedErrors',
  };
  const { reason } = details;
  const title = typeof reason === 'string' ? `${known.title}: ${reason}` : known.title;
  return { severity: status === 'down' || name === 'database' ? 'bad' : 'warn', ...known, title };
}

function ofProviders({ detailed, breakers }: Health): Problem[] {
  return Object.entries(groupOf(detailed, 'providers')).flatMap(([provider, { status, details }]) => {
    const open = Object.entries(breakers[provider]?.models ?? {}).filter(
      ([, { state }]) => state !== 'closed',
    );
    if (open.length > 0) {
      const isRefused = open.some(([, { last_failure: last }]) => last?.code === 'provider_auth_failed');
      const circuits = open.map(([model, breaker]) => circuitProblem(`${provider} / ${model}`, breaker));
      return [...(isRefused ? [keyRefused(provider)] : []), ...circuits];
    }
    if (status === 'up') return [];
    if (details['error'] === 'provider_auth_failed') return [keyRefused(provider)];
    return [
      warn(
        `${provider} does not answer`,
        'See the provider’s own status page. Requests go to fallbacks if the model has any.',
        'ProviderFailing',
      ),
    ];
  });
}

function keyRefused(provider: string): Problem {
  return bad(
    `${provider} refuses the gateway’s key`,
    'Replace the key and restart; this does not resolve itself.',
    'ProviderKeyRefused',
  );
}

function circuitProblem(name: string, breaker: Breaker): Problem {
  const { state, failures, next_attempt_at: next, last_failure: last } = breaker;
  if (state === 'half_open')
    return warn(
      `${name} is being retried`,
      'The circuit closes if the call succeeds.',
      'ProviderCircuitOpen',
    );
  const isDue = next === null || Date.parse(next) <= Date.now();
  const when = isDue
    ? 'The next request tries it again.'
    : `The next attempt is at ${new Date(next).toLocaleTimeString()}; until then, requests go to fallbacks or get 503.`;
  const how = last === null ? '' : `, the last one with ${last.code.replaceAll('_', ' ')}${below(last)}`;
  return bad(
    `${name}: circuit open`,
    `${count(failures)} consecutive calls failed${how}. ${when}`,
    'ProviderCircuitOpen',
  );
}

function below({ status, connection }: NonNullable<Breaker['last_failure']>): string {
  const known = connection?.replaceAll('_', ' ') ?? (status === null ? undefined : `HTTP ${status}`);
  return known === undefined ? '' : ` (${known})`;
}

function ofMoney(traffic: TrafficWindow): Problem[] {
  const summary = traffic.latest;
  if (!summary) return [];
  const now = (name: string) => summary.money[name] ?? 0;
  const found: Problem[] = [];
  if (now('audit_mismatches') > 0) {
    const title = `The ledger audit found ${now('audit_mismatches')} rows that do not add up`;
    found.push(bad(title, 'Stop manual changes and look at GET /admin/ledger/audit.', 'LedgerAuditMismatch'));
  }
  if (now('shortfall_total') > 0) {
    const title = `${money(now('shortfall_total'), summary.currency)} could not be charged`;
    found.push(bad(title, 'The log names the request, the user and the model.', 'ChargeShortfall'));
  }
  if (now('journal_oldest_seconds') > OLD_SECONDS) found.push(waitingCharges());
  if (now('outage_credit_used') > 0) {
    const title = `${money(now('outage_credit_used'), summary.currency)} served on credit`;
    found.push(
      warn(title, 'It is booked as ordinary charges once the database is back.', 'OutageCreditInUse'),
    );
  }
  const unknown = traffic.grown((reading) => reading.money['unknown_cost_total'] ?? 0);
  if (unknown > 0) {
    const title = `Providers may bill ${unknown} calls that were not charged to users`;
    found.push(
      warn(title, 'A few are normal while a provider is failing; the log names them.', 'ProviderCostUnknown'),
    );
  }
  return found;
}

/** Health and money both tell of it: the same title, so it is listed once. */
function waitingCharges(): Problem {
  return bad(
    'Charges have been waiting in the journal for more than a minute',
    'Nothing is lost as long as DATA_DIR exists. They are booked once the database accepts them. Do not scale this instance away.',
    'JournalNotSettling',
  );
}

function ofTraffic(traffic: TrafficWindow): Problem[] {
  const requests = traffic.grown((summary) => summary.requests.total);
  const failed = traffic.grown((summary) => summary.requests.failed);
  const overhead = quantile(
    traffic.histogram((summary) => summary.overhead),
    0.99,
  );
  const found = traffic
    .attempts('provider_auth_failed')
    .filter(([, count]) => count > 0)
    .map(([provider]) => keyRefused(provider));
  if (requests >= FEW_REQUESTS && failed / requests > FAILED_SHARE) {
    const title = `${percent(failed / requests)} of completions failed in the last few minutes`;
    found.push(bad(title, 'The error codes are below.', 'GatewayErrorRateHigh'));
  }
  if (requests >= FEW_REQUESTS && overhead !== undefined && overhead > OVERHEAD_SECONDS) {
    const title = `The gateway itself adds ${seconds(overhead)} at p99`;
    found.push(
      warn(
        title,
        'Answers are slow but correct. Likely causes: the database, Redis, or too little CPU.',
        'GatewayOverheadHigh',
      ),
    );
  }
  for (const sink of Object.keys(traffic.latest?.dropped ?? {})) {
    const dropped = traffic.grown((summary) => summary.dropped[sink] ?? 0);
    if (dropped > 0)
      found.push(
        warn(
          `${dropped} records for ${sink} were dropped`,
          'Requests are not affected.',
          'GatewayTelemetryDropped',
        ),
      );
  }
  return found;
}

function ofProcess({ system, detailed }: Health): Problem[] {
  const { heap, disk, event_loop: loop } = system;
  const heapShare = heap.used_bytes / heap.limit_bytes;
  const found: Problem[] = [];
  const loopIsTold = singleComponents(detailed).some(
    ([name, { status }]) => name === 'event_loop' && status !== 'up',
  );
  if (loop.p99_ms > LATE_MS && !loopIsTold) found.push(lateLoop(loop));
  if (heapShare > HEAP_SHARE) {
    const title = `${percent(heapShare)} of the heap is in use`;
    found.push(
      bad(
        title,
        'The process exits when it is full: take traffic away and restart it.',
        'GatewayEventLoopLate',
      ),
    );
  }
  if (disk.percent > DISK_PERCENT) {
    const title = `The disk of DATA_DIR is ${disk.percent} % full`;
    found.push(
      bad(title, 'When it is full, nothing can be charged, so nothing is served.', 'JournalNotSettling'),
    );
  }
  return found;
}

/** Those of long ago, too: an operator comes when it is over, and nothing else tells of it here. */
function ofWorkers(traffic: TrafficWindow): Problem[] {
  const deaths = traffic.latest?.worker_deaths ?? 0;
  const fresh = traffic.grown((summary) => summary.worker_deaths);
  const died = (number: number) => `${number === 1 ? '1 worker' : `${number} workers`} died`;
  const advice =
    'Its requests and streams were cut off, their charges are booked, and another worker took its place. The log says how it ' +
    'ended (worker … ended); SIGKILL usually means too little memory.';
  if (fresh > 0)
    return [
      bad(`${died(fresh)} in the last few minutes, ${deaths} since startup`, advice, 'GatewayKeepsDying'),
    ];
  return deaths > 0 ? [warn(`${died(deaths)} since startup`, advice, 'GatewayKeepsDying')] : [];
}

function lateLoop({ p99_ms, utilization, cpu }: EventLoop): Problem {
  const [title, advice] =
    cpu < utilization * RUNNING_SHARE
      ? [
          'The process has to wait for the machine',
          `It was busy for ${percent(utilization)} of the time, but had a core for only ${percent(cpu)}: other programs, a CPU limit, ` +
            'the hypervisor, swap or a slow disk. More workers on this machine make it worse.',
        ]
      : utilization > BUSY_SHARE
        ? ['The process has more work than one core can do', 'Add instances or workers (WORKERS=auto).']
        : [
            `Single event loop turns take ${seconds(p99_ms / 1000)}`,
            'Likely causes: a huge body or answer, or garbage collection in a nearly full heap.',
          ];
  return warn(title, advice, 'GatewayEventLoopLate');
}

function bad(title: string, advice: string, runbook: string): Problem {
  return { severity: 'bad', title, advice, runbook };
}

function warn(title: string, advice: string, runbook: string): Problem {
  return { severity: 'warn', title, advice, runbook };
}
