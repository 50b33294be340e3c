import type { LoadPlan, LoadResult } from '../load/load-plan.ts';
import { type Metric, type Row } from '../report/report.ts';
import type { Scenario } from '../scenarios.ts';
import type { Subject } from '../subjects/subject.ts';
import type { LoadDriver } from './load-driver.ts';
import { cpuMicros } from './process-cost.ts';
import { summarise, type Summary } from './statistics.ts';

/** Figures of one visit of a subject. */
type Visit = Partial<Record<Metric, number>>;

/** An idle machine's direct answer takes its time too: what a subject adds is against the upstream itself. */
export const DIRECT = 'direct';

/**
 * Rounds of visits: each round sends every scenario to every subject, in an order that turns, so that whatever happens
 * on the machine happens to all of them.
 */
export class Campaign {
  readonly failures: string[] = [];
  /** scenario -> round -> subject -> figures */
  readonly #visits = new Map<string, Map<string, Visit>[]>();
  readonly #subjects: readonly Subject[];
  readonly #driver: LoadDriver;
  readonly #tokens: readonly string[];

  constructor(subjects: readonly Subject[], driver: LoadDriver, tokens: readonly string[]) {
    this.#subjects = subjects;
    this.#driver = driver;
    this.#tokens = tokens;
  }

  plan(subject: Subject, load: Scenario['load']): LoadPlan {
    return {
      ...load,
      port: subject.port,
      path: subject.path,
      headers: subject.headers,
      tokens: subject.takesTokens ? this.#tokens : [],
    };
  }

  /** By number, not by time: compilers look at how often something ran. */
  async warmUp(scenario: Scenario, requests: number): Promise<void> {
    for (const subject of this.#subjects) {
      const load = { ...scenario.load, seconds: 60, maxRequests: requests };
      const { result } = await this.#driver.run(this.plan(subject, load), () => undefined);
      this.#note(subject, scenario, result);
    }
  }

  async round(scenario: Scenario, round: number): Promise<void> {
    const figures = new Map<string, Visit>();
    // The upstream itself costs nobody anything: it is only asked how long it takes.
    const isOpenLoop = 'perSecond' in scenario.load.arrivals;
    const subjects = this.#subjects.filter(({ name }) => isOpenLoop || name !== DIRECT);
    let direct: LoadResult | undefined;
    for (let turn = 0; turn < subjects.length; turn++) {
      const subject = subjects[(turn + round) % subjects.length]!;
      const { pids, helperPids } = subject;
      const { result, opened, closed } = await this.#driver.run(this.plan(subject, scenario.load), () => ({
        own: cpuMicros(pids),
        helpers: cpuMicros(helperPids),
      }));
      subject.forgetLog();
      this.#note(subject, scenario, result);
      if (subject.name === DIRECT) direct = result;
      const units = scenario.unit === 'chunk' ? result.chunks : result.requests;
      const cpu = (closed.own - opened.own) / units;
      figures.set(subject.name, {
        ...(subject.pids.length > 0 ? { cpu, perSecondAndCore: 1e6 / cpu } : {}),
        ...(helperPids.length > 0 ? { helperCpu: (closed.helpers - opened.helpers) / units } : {}),
        ...latencies(result),
      });
    }
    if (direct) for (const visit of figures.values()) subtract(visit, latencies(direct));
    this.#visits.set(scenario.name, [...(this.#visits.get(scenario.name) ?? []), figures]);
  }

  rows(scenarios: readonly Scenario[]): Row[] {
    return scenarios.flatMap((scenario) =>
      this.#subjects.flatMap((subject) => this.#rowsOf(scenario, subject)),
    );
  }

  #rowsOf(scenario: Scenario, subject: Subject): Row[] {
    const rounds = this.#visits.get(scenario.name) ?? [];
    const isOpenLoop = 'perSecond' in scenario.load.arrivals;
    const metrics: Metric[] = ['cpu', 'helperCpu', 'perSecondAndCore'];
    if (isOpenLoop && subject.name !== DIRECT) {
      metrics.push(...(scenario.load.isStream ? FIRST_CHUNK_METRICS : LATENCY_METRICS));
    }
    return metrics.flatMap((metric): Row[] => {
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

  #note(subject: Subject, scenario: Scenario, { failures, requests, firstFailure }: LoadResult): void {
    if (failures > 0) {
      this.failures.push(
        `${subject.name}, ${scenario.name}: ${failures} of ${failures + requests}: ${firstFailure}`,
      );
    }
  }
}

const LATENCY_METRICS = ['addedP50', 'addedP99'] as const;
const FIRST_CHUNK_METRICS = ['addedFirstChunkP50', 'addedFirstChunkP99'] as const;

function latencies({ latency, timeToFirstChunk }: LoadResult): Visit {
  return {
    addedP50: latency.p50,
    addedP99: latency.p99,
    addedFirstChunkP50: timeToFirstChunk.p50,
    addedFirstChunkP99: timeToFirstChunk.p99,
  };
}

function subtract(visit: Visit, direct: Visit): void {
  for (const metric of [...LATENCY_METRICS, ...FIRST_CHUNK_METRICS]) {
    visit[metric] = (visit[metric] ?? NaN) - (direct[metric] ?? NaN);
  }
}
