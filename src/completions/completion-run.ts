import { type ChatRequest, type FinishReason, type GatewayErrorCode, type Usage } from '@app/contracts';
import type { RequestContext } from '../edge/request-context.js';
import type { TokenReservation } from '../limits/token-limiter.service.js';
import type { CatalogModel, CatalogTarget } from '../models/catalog.js';
import type { AttemptRecord, RequestRecord } from '../telemetry/telemetry.js';
import { droppedParamsHeader } from './respond/dropped-params.js';

export type Capture = 'nothing' | 'parameters' | 'everything';

const NO_ATTEMPTS: readonly AttemptRecord[] = [];

/**
 * What becomes known about one completion while it runs. It is read for the response headers and, at the end, for the one
 * record that metrics, logs and traces are made of.
 */
export class CompletionRun {
  /** A number, as a Date would be kept for as long as the run. */
  readonly #startedAtMs = Date.now();
  model: CatalogModel | undefined;
  /** Who answered: now, or when the answer was cached. */
  target: Pick<CatalogTarget, 'provider' | 'upstreamModel' | 'priceVersion'> | undefined;
  attempts: readonly AttemptRecord[] = NO_ATTEMPTS;
  droppedParams: readonly string[] = [];
  /** Only where tokens per minute are limited. */
  tokenReservation: TokenReservation | undefined;
  usage: Usage | undefined;
  finishReason: FinishReason | undefined;
  costNanoUsd: bigint | undefined;
  cache: 'HIT' | 'MISS' | 'BYPASS' = 'BYPASS';
  isReplay = false;
  isRecorded = false;
  timeToFirstChunkMs: number | undefined;
  output: unknown;
  /** The answer's text, for retries with the same Idempotency-Key: complete when the answer is charged. */
  answerText: (() => string) | undefined;
  #upstreamStartedMs: number | undefined;
  #upstreamEndedMs: number | undefined;
  #holdMs: number | undefined;
  #settleMs: number | undefined;
  #stage: 'hold' | 'settle' | undefined;
  #stageStartedMs = 0;

  constructor(
    readonly request: ChatRequest,
    readonly context: RequestContext,
    readonly isStream: boolean,
    /** Requests with the same key should go to the same target, for the provider's prompt cache. */
    readonly stickyKey: string | undefined = undefined,
  ) {}

  get startedAt(): Date {
    return new Date(this.#startedAtMs);
  }

  /** The model, once it was looked up. */
  get catalogModel(): CatalogModel {
    if (!this.model) throw new Error('the model is looked up before the answer');
    return this.model;
  }

  get includeUsage(): boolean {
    return this.request.stream_options?.include_usage === true;
  }

  /** A stage of the gateway's own work begins. It lasts until the next one, `leaveStage` or `record`. */
  enterStage(stage: 'hold' | 'settle', nowMs = performance.now()): void {
    this.leaveStage(nowMs);
    this.#stage = stage;
    this.#stageStartedMs = nowMs;
  }

  leaveStage(nowMs = performance.now()): void {
    if (this.#stage === undefined) return;
    const tookMs = nowMs - this.#stageStartedMs;
    if (this.#stage === 'hold') this.#holdMs = (this.#holdMs ?? 0) + tookMs;
    else this.#settleMs = (this.#settleMs ?? 0) + tookMs;
    this.#stage = undefined;
  }

  noteFirstChunk(): void {
    this.timeToFirstChunkMs ??= performance.now() - this.context.startedAtMs;
  }

  noteUpstreamStart(nowMs: number): void {
    this.#upstreamStartedMs ??= nowMs;
  }

  /** The first call counts: settlement, which follows, is the gateway's own time. */
  noteUpstreamEnd(nowMs = performance.now()): void {
    this.#upstreamEndedMs ??= nowMs;
  }

  /** Time from dispatch to the provider's last byte, which is not the gateway's own. */
  get upstreamMs(): number {
    if (this.#upstreamStartedMs === undefined) return 0;
    return (this.#upstreamEndedMs ?? performance.now()) - this.#upstreamStartedMs;
  }

  headers(): Record<string, string> {
    const headers: Record<string, string> = {};
    this.eachHeader((name, value) => (headers[name] = value));
    return headers;
  }

  eachHeader(set: (name: string, value: string) => void): void {
    set('x-cache', this.cache);
    if (this.target) {
      set('x-gateway-provider', this.target.provider);
      set('x-gateway-model', this.target.upstreamModel);
    }
    set('x-gateway-attempts', String(this.attempts.length));
    if (this.droppedParams.length > 0)
      set('x-gateway-dropped-params', droppedParamsHeader(this.droppedParams));
    if (this.isReplay) set('x-idempotent-replay', 'true');
  }

  /** @param capture  how much of request and answer goes into the record: no more than a sink asks for */
  record(status: number, errorCode: GatewayErrorCode | undefined, capture: Capture): RequestRecord {
    const { context } = this;
    const nowMs = performance.now();
    this.leaveStage(nowMs);
    return {
      requestId: context.requestId,
      billingId: context.billingId,
      userId: context.principal?.userId,
      model: this.model?.id ?? 'unknown',
      provider: this.target?.provider,
      upstreamModel: this.target?.upstreamModel,
      stream: this.isStream,
      status,
      errorCode,
      durationMs: nowMs - context.startedAtMs,
      timeToFirstChunkMs: this.timeToFirstChunkMs,
      upstreamMs: this.upstreamMs,
      usage: this.usage,
      finishReason: this.finishReason,
      costNanoUsd: this.costNanoUsd,
      attempts: this.attempts,
      cache: this.cache,
      idempotentReplay: this.isReplay,
      traceparent: context.traceparent,
      startedAt: this.startedAt,
      stagesMs: this.#stages(),
      content: capture === 'nothing' ? undefined : this.#content(capture === 'everything'),
    };
  }

  #content(withText: boolean): RequestRecord['content'] {
    const parameters = modelParameters(this.request);
    return withText
      ? { input: this.request.messages, output: this.output, parameters }
      : { input: undefined, output: undefined, parameters };
  }

  /** The stages that the request went through, including those of the guards. */
  #stages(): Record<string, number> {
    const { startedAtMs, authenticatedAtMs, admittedAtMs } = this.context;
    const stages: Record<string, number> = {};
    if (authenticatedAtMs !== undefined) {
      stages.auth = authenticatedAtMs - startedAtMs;
      if (admittedAtMs !== undefined) stages.limits = admittedAtMs - authenticatedAtMs;
    }
    if (this.#holdMs !== undefined) stages.hold = this.#holdMs;
    if (this.#settleMs !== undefined) stages.settle = this.#settleMs;
    return stages;
  }
}

const PARAMETERS = [
  'temperature',
  'top_p',
  'max_tokens',
  'max_completion_tokens',
  'n',
  'seed',
  'reasoning_effort',
] as const;

function modelParameters(request: ChatRequest): Record<string, unknown> {
  const parameters: Record<string, unknown> = {};
  for (const name of PARAMETERS) {
    if (request[name] !== undefined && request[name] !== null) parameters[name] = request[name];
  }
  return parameters;
}
