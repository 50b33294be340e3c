/**
 * Runs in the browser. While versions change, page and instance may differ: what an instance does not tell is no number
 * (shown as –), no text, nothing in a list, and takes no other figure with it. What the page does not know is left alone.
 */
import {
  type Breaker,
  type Component,
  type Detailed,
  isComponent,
  type ModelRow,
  type Past,
  type Summary,
  type System,
} from './answers.js';
import type { Histogram } from './figures.js';

const HISTOGRAM: Histogram = { bounds: [], counts: [], count: NaN };
const COMPONENT: Component = { status: '', latency_ms: NaN, details: {} };
const BREAKER: Breaker = { state: '', failures: NaN, next_attempt_at: null, last_failure: null };
const FAILURE: NonNullable<Breaker['last_failure']> = { code: '', status: null, connection: null };
const PAST: Past = { timestamp: '', status: '' };
const MODEL: ModelRow = {
  model: '',
  provider: '',
  requests: NaN,
  failed: NaN,
  input_tokens: NaN,
  output_tokens: NaN,
  cost: NaN,
};
const SYSTEM: System = {
  uptime_seconds: NaN,
  cpu: { percent: NaN, cores: NaN },
  memory: { rss_bytes: NaN },
  heap: { used_bytes: NaN, limit_bytes: NaN },
  event_loop: { p99_ms: NaN, utilization: NaN, cpu: NaN },
  disk: { free_bytes: NaN, percent: NaN },
  connections: { open: NaN },
};
const SUMMARY: Summary = {
  environment: '',
  version: '',
  currency: '',
  workers: NaN,
  worker_deaths: NaN,
  requests: { total: NaN, failed: NaN },
  models: [],
  errors: {},
  attempts: {},
  latency: HISTOGRAM,
  first_token: HISTOGRAM,
  overhead: HISTOGRAM,
  rate_limits: {},
  money: {},
  streams_open: NaN,
  cost_total: NaN,
  tokens_total: NaN,
  dropped: {},
};

export function completeDetailed(answer: unknown): Detailed {
  const detailed = complete<Detailed>({ status: '', draining: false, version: '', components: {} }, answer);
  const components = each(detailed.components, (part) =>
    isObject(part) && !isComponent(part)
      ? each(part, (member) => complete(COMPONENT, member))
      : complete(COMPONENT, part),
  );
  return { ...detailed, components };
}

export function completeBreakers(answer: unknown): Record<string, Breaker> {
  const { circuit_breakers: breakers } = complete({ circuit_breakers: {} }, answer);
  return each(breakers, (breaker) => ({
    ...completeBreaker(breaker),
    models: each(complete({ models: {} }, breaker).models, completeBreaker),
  }));
}

export function completePast(answer: unknown): Past[] {
  return complete<{ history: Past[] }>({ history: [] }, answer).history.map((past) => complete(PAST, past));
}

export function completeSystem(answer: unknown): System {
  return complete(SYSTEM, answer);
}

export function completeSummary(answer: unknown): Summary {
  const summary = complete(SUMMARY, answer);
  return { ...summary, models: summary.models.map((model) => complete(MODEL, model)) };
}

function completeBreaker(answer: unknown): Breaker {
  const breaker = complete(BREAKER, answer);
  const failure: unknown = breaker.last_failure;
  return { ...breaker, last_failure: isObject(failure) ? complete(FAILURE, failure) : null };
}

/** The answer, with what `like` has where the answer has nothing of that kind. */
function complete<Value>(like: Value, answer: unknown): Value {
  if (like === null) return (answer ?? like) as Value;
  if (!isObject(like)) return (typeof answer === typeof like ? answer : like) as Value;
  if (Array.isArray(like)) return (Array.isArray(answer) ? answer : like) as Value;
  const told: Readonly<Record<string, unknown>> = isObject(answer) ? answer : {};
  return { ...told, ...each(like, (part, name) => complete(part, told[name])) } as Value;
}

function each<Value>(map: object, change: (value: unknown, name: string) => Value): Record<string, Value> {
  return Object.fromEntries(Object.entries(map).map(([name, value]) => [name, change(value, name)]));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
