import type { FinishReason, GatewayErrorCode, Usage } from '@app/contracts';
import { Injectable } from '@nestjs/common';

/** One finished `/v1/chat/completions` request, whatever its end. Written once, after settlement. No prompt, no key. */
export interface RequestRecord {
  readonly requestId: string;
  readonly billingId: string;
  readonly userId: string | undefined;
  /** The model asked for; `unknown` when it is not in the catalogue, so that clients cannot create series. */
  readonly model: string;
  readonly provider: string | undefined;
  readonly upstreamModel: string | undefined;
  readonly stream: boolean;
  /** HTTP status; 499 when the client left. */
  readonly status: number;
  readonly errorCode: GatewayErrorCode | undefined;
  readonly durationMs: number;
  readonly timeToFirstChunkMs: number | undefined;
  /** Time spent waiting for providers: `durationMs - upstreamMs` is the gateway's own. */
  readonly upstreamMs: number;
  readonly usage: Usage | undefined;
  readonly finishReason: FinishReason | undefined;
  readonly costNanoUsd: bigint | undefined;
  readonly attempts: readonly AttemptRecord[];
  readonly cache: 'HIT' | 'MISS' | 'BYPASS';
  readonly idempotentReplay: boolean;
  readonly traceparent: string | undefined;
  readonly startedAt: Date;
  /** Durations of the gateway's own stages, by name (`auth`, `limits`, `hold`, `settle`). */
  readonly stagesMs: Readonly<Record<string, number>>;
  /** For Langfuse, and there only where that is on; input and output only when it is to capture them. Never logged. */
  readonly content:
    | {
        readonly input: unknown;
        readonly output: unknown;
        readonly parameters: Record<string, unknown>;
      }
    | undefined;
}

/** One upstream call. */
export interface AttemptRecord {
  readonly provider: string;
  readonly upstreamModel: string;
  readonly startedAt: Date;
  readonly durationMs: number;
  readonly timeToFirstChunkMs: number | undefined;
  readonly outcome: 'ok' | GatewayErrorCode | 'client_gone';
  readonly upstreamStatus: number | undefined;
  readonly providerRequestId: string | undefined;
  /** It failed, and may have been worked on: whether the provider bills it, nobody knows. */
  readonly isCostUnknown?: true | undefined;
  /** What went wrong below HTTP: `refused`, `dns`, `tls`, … (`ConnectionFailureKind`). */
  readonly connectionFailure?: string | undefined;
}

/** Something an operator should know besides requests. */
export type GatewayEvent =
  | { readonly kind: 'rate-limit'; readonly scope: string; readonly outcome: 'allowed' | 'refused' }
  | { readonly kind: 'rate-limit-mode'; readonly mode: 'redis' | 'memory' | 'degraded' }
  | {
      readonly kind: 'breaker';
      readonly provider: string;
      readonly model: string;
      readonly state: 'closed' | 'open' | 'half_open';
      /** The code of the failure that opened it. */
      readonly cause?: string;
    }
  | { readonly kind: 'breaker-forgotten'; readonly provider: string; readonly model: string }
  | {
      readonly kind: 'cache';
      readonly cache: 'models' | 'response';
      readonly outcome: 'hit' | 'miss' | 'error';
    }
  | { readonly kind: 'config-reload'; readonly isRefused: boolean }
  | { readonly kind: 'balance'; readonly userId: string; readonly balanceNanoUsd: bigint }
  | {
      readonly kind: 'shortfall';
      readonly model: string;
      readonly amountNanoUsd: bigint;
      readonly requestId: string;
      readonly userId: string;
    }
  | {
      readonly kind: 'unknown-cost';
      readonly provider: string;
      readonly model: string;
      readonly requestId: string;
      readonly userId: string;
    }
  | { readonly kind: 'orphan-released'; readonly reason: 'evidence' | 'timer'; readonly count: number }
  | { readonly kind: 'outage-credit'; readonly usedNanoUsd: bigint }
  | { readonly kind: 'idempotent-replay' }
  | { readonly kind: 'audit-mismatch'; readonly check: string; readonly count: number }
  | {
      readonly kind: 'auth-failure';
      readonly code: GatewayErrorCode;
      readonly method: string;
      readonly path: string;
      readonly requestId: string;
      readonly clientAddress: string;
      /** Only of a token that is genuine, and not enough: what a forged one says is nobody's name. */
      readonly userId: string | undefined;
    }
  | {
      readonly kind: 'admin-action';
      readonly action: string;
      readonly actor: string;
      readonly subject: string;
      readonly requestId: string;
      readonly clientAddress: string;
      readonly details: Record<string, string>;
    }
  | {
      /** A finished request of any route but the completions (those make a `RequestRecord`). */
      readonly kind: 'access';
      readonly method: string;
      /** The route's pattern, e.g. `/v1/models/:id`; `undefined` when no route matched. */
      readonly route: string | undefined;
      /** Without the query, which may hold what should not be kept. */
      readonly path: string;
      readonly status: number;
      readonly errorCode: GatewayErrorCode | undefined;
      readonly durationMs: number;
      readonly requestId: string;
      readonly userId: string | undefined;
    }
  | {
      readonly kind: 'unexpected-error';
      readonly where: string;
      readonly requestId?: string | undefined;
      readonly error: unknown;
      readonly userId?: string | undefined;
      readonly model?: string | undefined;
      readonly provider?: string | undefined;
    };

/** A figure read when somebody looks (`/metrics`, health), registered by its owner at boot. */
export interface Gauge {
  readonly name:
    | 'holds_open'
    | 'journal_unsettled_records'
    | 'journal_oldest_seconds'
    | 'drains_active'
    | 'streams_open'
    | 'outage_credit_used'
    | 'leased'
    | 'can_serve';
  read(): number;
}

/** Where facts go: metrics, logs, Sentry, Langfuse. A sink must not throw and must not wait. */
export interface TelemetrySink {
  request?(record: RequestRecord): void;
  event?(event: GatewayEvent): void;
}

/** Injected by whoever has something to tell; knows no sink by name. */
@Injectable()
export class Telemetry {
  readonly #sinks: TelemetrySink[] = [];
  readonly #gauges = new Map<Gauge['name'], Gauge>();
  #finished: RequestRecord[] = [];

  addSink(sink: TelemetrySink): void {
    this.#sinks.push(sink);
  }

  addGauge(gauge: Gauge): void {
    this.#gauges.set(gauge.name, gauge);
  }

  gauges(): Iterable<Gauge> {
    return this.#gauges.values();
  }

  /**
   * The sinks are told at the end of this turn of the event loop: answers go out first, and everything that a turn has
   * finished is reported in one batch, while its code is in the CPU's caches.
   */
  request(record: RequestRecord): void {
    if (this.#finished.push(record) === 1) setImmediate(() => this.#tellFinished());
  }

  #tellFinished(): void {
    const finished = this.#finished;
    this.#finished = [];
    for (const sink of this.#sinks) {
      if (sink.request) for (const record of finished) sink.request(record);
    }
  }

  event(event: GatewayEvent): void {
    for (const sink of this.#sinks) sink.event?.(event);
  }
}
