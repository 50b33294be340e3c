import type { Usage } from '@app/contracts';
import { nanoToNumber } from '../currency-units.js';
import type { RequestRecord } from '../telemetry.js';
import type { CounterSeries, HistogramSeries } from './fast-series.js';
import type { GatewayMetrics } from './gateway-metrics.js';

/** The series of the completions of one model at one provider, found once; those that never have a figure are not made. */
export class CompletionSeries {
  readonly #byStatus = new Map<number, CounterSeries>();
  readonly #byError = new Map<string, CounterSeries>();
  readonly #byTokenKind = new Map<string, CounterSeries>();
  readonly #duration: HistogramSeries;
  #firstToken: HistogramSeries | undefined;
  #cost: CounterSeries | undefined;
  #inputTokens: HistogramSeries | undefined;
  #outputTokens: HistogramSeries | undefined;

  /** @param timedModel  the model's name in the histograms, see `PrometheusSink` */
  constructor(
    private readonly metrics: GatewayMetrics,
    private readonly model: string,
    private readonly provider: string,
    private readonly timedModel: string,
  ) {
    this.#duration = metrics.requestDuration.series({ model: timedModel, provider });
  }

  add(record: RequestRecord): void {
    this.#status(record.status).add();
    this.#duration.observe(record.durationMs / 1000);
    if (record.errorCode !== undefined) this.#error(record.errorCode).add();
    if (record.costNanoUsd !== undefined) this.#charged(nanoToNumber(record.costNanoUsd));
    if (record.stream && record.timeToFirstChunkMs !== undefined) {
      this.#firstToken ??= this.metrics.firstToken.series(this.#genAi);
      this.#firstToken.observe(record.timeToFirstChunkMs / 1000);
    }
    if (record.usage) this.#tokens(record.usage);
  }

  #charged(cost: number): void {
    this.#cost ??= this.metrics.cost.series({ model: this.model, provider: this.provider });
    this.#cost.add(cost);
  }

  #tokens(usage: Usage): void {
    this.#inputTokens ??= this.metrics.tokenUsage.series({ ...this.#genAi, gen_ai_token_type: 'input' });
    this.#outputTokens ??= this.metrics.tokenUsage.series({ ...this.#genAi, gen_ai_token_type: 'output' });
    this.#inputTokens.observe(usage.inputTokens);
    this.#outputTokens.observe(usage.outputTokens);
    this.#count('input', usage.inputTokens);
    this.#count('output', usage.outputTokens);
    this.#count('cached_input', usage.cacheReadInputTokens);
    this.#count('cache_write', usage.cacheCreationInputTokens);
    this.#count('reasoning', usage.reasoningOutputTokens);
  }

  get #genAi() {
    return genAiLabels(this.timedModel, this.provider);
  }

  /** Unknown is not zero: what was not reported makes no series. */
  #count(kind: string, tokens: number | undefined): void {
    if (tokens === undefined) return;
    this.#found(this.#byTokenKind, kind, () =>
      this.metrics.tokens.series({ model: this.model, provider: this.provider, kind }),
    ).add(tokens);
  }

  #status(status: number): CounterSeries {
    return this.#found(this.#byStatus, status, () =>
      this.metrics.requests.series({ model: this.model, provider: this.provider, status: String(status) }),
    );
  }

  #error(code: string): CounterSeries {
    return this.#found(this.#byError, code, () =>
      this.metrics.requestErrors.series({ model: this.model, provider: this.provider, code }),
    );
  }

  #found<Key>(known: Map<Key, CounterSeries>, key: Key, make: () => CounterSeries): CounterSeries {
    let series = known.get(key);
    if (!series) known.set(key, (series = make()));
    return series;
  }
}

/** The provider was not asked. As calls that took no time these would make a failing provider look fast. */
const NOT_ASKED: ReadonlySet<string> = new Set(['circuit_open', 'bulkhead_full']);

/** The series of the upstream calls for one model to one provider. */
export class AttemptSeries {
  readonly #byOutcome = new Map<string, CounterSeries>();
  #duration: HistogramSeries | undefined;

  constructor(
    private readonly metrics: GatewayMetrics,
    private readonly model: string,
    private readonly provider: string,
    private readonly timedModel: string,
  ) {}

  add(outcome: string, durationMs: number): void {
    let series = this.#byOutcome.get(outcome);
    if (!series) {
      series = this.metrics.attempts.series({ provider: this.provider, model: this.model, outcome });
      this.#byOutcome.set(outcome, series);
    }
    series.add();
    if (NOT_ASKED.has(outcome)) return;
    this.#duration ??= this.metrics.operationDuration.series(genAiLabels(this.timedModel, this.provider));
    this.#duration.observe(durationMs / 1000);
  }
}

function genAiLabels(model: string, provider: string) {
  return { gen_ai_operation_name: 'chat', gen_ai_provider_name: provider, gen_ai_request_model: model };
}
