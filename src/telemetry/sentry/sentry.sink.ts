import type { ErrorEvent, NodeClient, Scope, SeverityLevel } from '@sentry/nestjs';
import { providerOf } from '../provider-of.js';
import type { GatewayEvent, RequestRecord, TelemetrySink } from '../telemetry.js';
import { formatNano } from '@app/money';
import { buildErrorEvent, buildMessageEvent, type Tags } from './build-error-event.js';
import { buildTransaction, isSampled, traceOf, type TransactionEvent } from './build-transaction.js';

export interface SentrySinkOptions {
  /** Share of completions sent as transactions, 0 to 1. */
  readonly tracesSampleRate: number;
  readonly release: string;
  readonly environment: string;
}

/**
 * A failing dependency must not become a thousand issues a second. Counted per fault, since one that occurs with every
 * request would otherwise hide one that occurs once.
 */
const MAX_EVENTS_OF_A_FAULT_PER_MINUTE = 60;
const MINUTE_MS = 60_000;

/**
 * Unexpected errors, the alarms about money, and a share of the completions as transactions.
 * What a client did wrong is not an error; prompts, answers, keys and tokens are in no envelope.
 */
export class SentrySink implements TelemetrySink {
  #dropped = 0;
  /** In this minute, by fault: an alarm's message or an error's place, of which there are a few dozen. */
  readonly #sent = new Map<string, number>();
  #minuteEndsMs = performance.now() + MINUTE_MS;

  constructor(
    private readonly client: NodeClient,
    private readonly newScope: () => Scope,
    private readonly options: SentrySinkOptions,
  ) {}

  /** Events held back by the limit of this sink. */
  get dropped(): number {
    return this.#dropped;
  }

  request(record: RequestRecord): void {
    if (record.errorCode === 'provider_auth_failed') this.#refusedKey(record);
    if (this.options.tracesSampleRate > 0) this.#transaction(record);
  }

  event(event: GatewayEvent): void {
    switch (event.kind) {
      case 'unexpected-error':
        return this.#exception(event);
      case 'shortfall':
        return this.#alarm('A request cost more than could be charged', 'error', event.userId, {
          model: event.model,
          amount: formatNano(event.amountNanoUsd),
          request_id: event.requestId,
        });
      case 'unknown-cost':
        return this.#alarm('A provider may bill a call whose cost is unknown', 'error', event.userId, {
          provider: event.provider,
          model: event.model,
          request_id: event.requestId,
        });
      case 'audit-mismatch':
        if (event.count === 0) return;
        return this.#alarm('The ledger audit found rows that do not add up', 'fatal', undefined, {
          check: event.check,
        });
      default:
        return; // everything else is a figure or a log line
    }
  }

  /** Sends what is waiting, for at most `timeoutMs`. */
  async close(timeoutMs: number): Promise<void> {
    await this.client.close(timeoutMs);
  }

  #exception(event: Extract<GatewayEvent, { kind: 'unexpected-error' }>): void {
    if (!this.#allowed(event.where)) return;
    const { where, userId, requestId, model, provider } = event;
    const tags = { request_id: requestId, where, model, provider };
    this.#send(buildErrorEvent(this.client, event.error, { where, userId, tags }));
  }

  #refusedKey(record: RequestRecord): void {
    this.#alarm('A provider refused our key', 'error', record.userId, {
      provider: providerOf(record),
      request_id: record.requestId,
      model: record.model,
    });
  }

  #alarm(message: string, level: SeverityLevel, userId: string | undefined, tags: Tags): void {
    if (this.#allowed(message)) this.#send({ ...buildMessageEvent(message, level, tags), ...userOf(userId) });
  }

  #transaction(record: RequestRecord): void {
    const trace = traceOf(record.traceparent);
    if (!isSampled(trace, this.options.tracesSampleRate)) return;
    const event = buildTransaction(record, trace);
    event.release = this.options.release;
    event.environment = this.options.environment;
    event.sdkProcessingMetadata = {
      dynamicSamplingContext: {
        trace_id: trace.traceId,
        public_key: this.client.getDsn()?.publicKey,
        release: this.options.release,
        environment: this.options.environment,
        transaction: event.transaction,
        sample_rate: String(this.options.tracesSampleRate),
        sampled: 'true',
      },
    };
    this.#send(event);
  }

  /** With a scope of its own: nothing of what happens to run at this moment belongs to it. */
  #send(event: ErrorEvent | TransactionEvent): void {
    this.client.captureEvent(event, undefined, this.newScope());
  }

  #allowed(fault: string): boolean {
    const now = performance.now();
    if (now >= this.#minuteEndsMs) {
      this.#minuteEndsMs = now + MINUTE_MS;
      this.#sent.clear();
    }
    const sent = this.#sent.get(fault) ?? 0;
    if (sent >= MAX_EVENTS_OF_A_FAULT_PER_MINUTE) {
      this.#dropped++;
      return false;
    }
    this.#sent.set(fault, sent + 1);
    return true;
  }
}

function userOf(userId: string | undefined): Pick<ErrorEvent, 'user'> {
  return userId === undefined ? {} : { user: { id: userId } };
}
