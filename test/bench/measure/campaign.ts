import type { LoadPlan, LoadResult } from '../load/load-plan.ts';
import type { Metric, Row } from '../present/report.ts';
import { isOpenLoop, type Scenario } from '../scenarios.ts';
import type { Subject } from '../subjects/subject.ts';
import type { LoadDriver, Windowed } from './load-driver.ts';
import { cpuBetween, type CpuBooks, readCpu } from './process-cost.ts';
import { summarise, type Summary } from './statistics.ts';

/** Figures of one visit of a subject. */
type Visit = Partial<Record<Metric, number>>;

/** Of each user, in front of a visit at a fixed rate. */
const REQUESTS_BEFORE = 2;

type Asked = Pick<Scenario, 'load' | 'body' | 'gatewayBody' | 'users'>;

/** What a subject adds is against the upstream itself, asked in the same round. */
export const DIRECT = 'direct';

/**
 * Rounds of visits: each round sends every scenario to every subject, in an order that turns, so that whatever happens
 * on the machine happens to all of them.
 */
export class Campaign {
  readonly failures: string[] = [];
  /** How late the load generator was, open loops only, ms. */
  readonly lateness: number[] = [];
  /** scenario -> round -> subject -> figures */
  readonly #visits = new Map<string, Map<string, Visit>[]>();
  readonly #subjects: Subject[];
  readonly #driver: LoadDriver;
  readonly #tokens: readonly string[];

  constructor(subjects: readonly Subject[], driver: LoadDriver, tokens: readonly string[]) {
    this.#subjects = [...subjects];
    this.#driver = driver;
    this.#tokens = tokens;
  }

  get subjects(): readonly Subject[] {
    return this.#subjects;
  }

  /** Its next process takes its place. */
  replace(subject: Subject): void {
    this.#subjects[this.#subjects.findIndex(({ name }) => name === subject.name)] = subject;
  }

  plan(subject: Subject, { load, body, gatewayBody, users }: Asked): LoadPlan {
    const isGateway = subject.name.startsWith('gateway');
    return {
      ...load,
      body: (isGateway ? gatewayBody : undefined) ?? body,
      port: subject.port,
      path: subject.path,
      headers: subject.headers,
      tokens: this.#tokens.slice(0, users),
    };
  }

  /** By number, not by time: compilers look at how often something ran. */
  async warmUp(scenario: Scenario, requests: number, warmed: readonly string[]): Promise<void> {
    const load = { ...scenario.load, warmSeconds: 0, seconds: 90, maxRequests: requests };
    for (const subject of this.#subjects) {
      if (warmed.includes(subject.name)) await this.#run(subject, { ...scenario, load });
    }
  }

  /** @returns what it found, for whoever watches */
  async round(scenario: Scenario, round: number, visited: readonly string[]): Promise<string> {
    const subjects = this.#subjects.filter(({ name }) => visited.includes(name));
    const figures = new Map<string, Visit>();
    let direct: LoadResult | undefined;
    for (let turn = 0; turn < subjects.length; turn++) {
      const subject = subjects[(turn + round) % subjects.length]!;
      if (isOpenLoop(scenario)) await this.#acquaint(subject, scenario);
      const windowed = await this.#run(subject, scenario);
      if (subject.name === DIRECT) direct = windowed.result;
      if (isOpenLoop(scenario)) this.lateness.push(windowed.result.lateness.p99);
      figures.set(subject.name, visitOf(subject, scenario, windowed));
    }
    for (const [name, visit] of figures) {
      if (direct && name !== DIRECT) subtract(visit, latencies(direct));
      else for (const metric of LATENCIES) delete visit[metric];
    }
    this.#visits.set(scenario.name, [...(this.#visits.get(scenario.name) ?? []), figures]);
    return [...figures].flatMap(([name, visit]) => inShort(name, visit)).join(', ');
  }

  /**
   * At a steady rate every user has asked a few seconds ago, and whoever remembers its users would know them: a visit
   * begins as if it had gone on before, and not after the minute in which the others were visited.
   */
  async #acquaint(subject: Subject, scenario: Scenario): Promise<void> {
    const load = {
      ...scenario.load,
      arrivals: { inFlight: 16 },
      warmSeconds: 0,
      seconds: 30,
      maxRequests: REQUESTS_BEFORE * scenario.users,
    };
    await this.#run(subject, { ...scenario, load });
  }

  rows(scenarios: readonly Scenario[]): Row[] {
    return scenarios.flatMap((scenario) =>
      this.#subjects.flatMap((subject) => this.#rowsOf(scenario, subject)),
    );
  }

  async #run(
    subject: Subject,
    scenario: Scenario,
  ): Promise<Windowed<{ readonly own: CpuBooks; readonly helpers: CpuBooks }>> {
    const windowed = await this.#driver.run(this.plan(subject, scenario), () => ({
      own: readCpu(subject.pids),
      helpers: readCpu(subject.helperPids),
    }));
    subject.forgetLog();
    const { failures, requests, firstFailure } = windowed.result;
    if (failures > 0) {
      this.failures.push(
        `${subject.name}, ${scenario.name}: ${failures} of ${failures + requests}: ${firstFailure}`,
      );
    }
    return windowed;
  }

  #rowsOf(scenario: Scenario, subject: Subject): Row[] {
    const rounds = this.#visits.get(scenario.name) ?? [];
    return METRICS.flatMap((metric): Row[] => {
      const value = summarise(rounds.map((visits) => visits.get(subject.name)?.[metric] ?? Number.NaN));
      if (!value) return [];
      const ratios = this.#ratios(rounds, subject.name, metric);
      return [
        { scenario: scenario.name, title: scenario.title, metric, subject: subject.name, value, ratios },
      ];
    });
  }

  #ratios(rounds: readonly Map<string, Visit>[], name: string, metric: Metric): Record<string, Summary> {
    const ratios: Record<string, Summary> = {};
    for (const { name: other } of this.#subjects) {
      if (other === name) continue;
      const ratio = summarise(
        rounds.map((visits) => (visits.get(name)?.[metric] ?? NaN) / (visits.get(other)?.[metric] ?? NaN)),
      );
      if (ratio) ratios[other] = ratio;
    }
    return ratios;
  }
}

const LATENCIES = ['addedP50', 'addedP99', 'addedFirstChunkP50', 'addedFirstChunkP99'] as const;
const METRICS = ['cpu', 'perSecondAndCore', 'helperCpu', ...LATENCIES] as const satisfies readonly Metric[];

function visitOf(
  subject: Subject,
  scenario: Scenario,
  { result, opened, closed }: Windowed<{ readonly own: CpuBooks; readonly helpers: CpuBooks }>,
): Visit {
  const units = scenario.unit === 'chunk' ? result.chunks : result.requests;
  const cpu = cpuBetween(opened.own, closed.own) / units;
  return {
    ...(subject.pids.length > 0 ? { cpu, perSecondAndCore: 1e6 / cpu } : {}),
    ...(subject.helperPids.length > 0
      ? { helperCpu: cpuBetween(opened.helpers, closed.helpers) / units }
      : {}),
    ...latencies(result),
  };
}

/** A stream's length is the upstream's business: what counts is when it begins. */
function latencies({ latency, timeToFirstChunk }: LoadResult): Visit {
  return timeToFirstChunk.count > 0
    ? { addedFirstChunkP50: timeToFirstChunk.p50, addedFirstChunkP99: timeToFirstChunk.p99 }
    : { addedP50: latency.p50, addedP99: latency.p99 };
}

function subtract(visit: Visit, direct: Visit): void {
  for (const metric of LATENCIES) {
    const own = visit[metric];
    if (own !== undefined) visit[metric] = own - (direct[metric] ?? NaN);
  }
}

function inShort(name: string, { cpu, addedP50, addedFirstChunkP50 }: Visit): string[] {
  if (cpu === undefined) return [];
  const added = addedP50 ?? addedFirstChunkP50;
  return [`${name} ${cpu.toFixed(1)} µs${added === undefined ? '' : ` +${added.toFixed(2)} ms`}`];
}
