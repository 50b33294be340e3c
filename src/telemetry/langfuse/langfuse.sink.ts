import { setTimeout as sleep } from 'node:timers/promises';
import type { RequestRecord, TelemetrySink } from '../telemetry.js';
import { buildGenerations, buildTrace, type TracedContent } from './build-generations.js';
import { LangfuseClient } from './langfuse-client.js';
import { traceContent } from './trace-content.js';

export interface LangfuseSinkOptions {
  readonly publicKey: string;
  readonly secretKey: string;
  readonly host: string;
  /** Share of the requests that are traced, 0 to 1. */
  readonly sampleRate: number;
  readonly captureContent: boolean;
  readonly release: string;
  readonly environment: string;
}

/** The SDK looks through its queue for each event: beyond 50 that costs more than it saves. */
const BATCH = 50;
/** With content a batch stays well under the 2.5 MB that the SDK sends at once. */
const BATCH_WITH_CONTENT = 12;
const FLUSH_INTERVAL_MS = 2_000;
const REQUEST_TIMEOUT_MS = 5_000;
const RETRIES = 2;
const RETRY_DELAY_MS = 1_000;
/** Events not yet delivered, waiting or on their way; a request whose events would exceed it is not traced. */
const MAX_BACKLOG = 2_000;
const MAX_BACKLOG_WITH_CONTENT = 300;

/**
 * One Langfuse trace for a request, one generation for each upstream call.
 * A slow, failing or hanging server costs dropped traces, which are counted; never memory, and no request waits.
 */
export class LangfuseSink implements TelemetrySink {
  readonly #client: LangfuseClient;
  #backlog = 0;
  #dropped = 0;
  #batchFailed = false;
  /** The last batch was refused despite all retries: until one is accepted, at most one is kept. */
  #isAway = false;

  constructor(private readonly options: LangfuseSinkOptions) {
    this.#client = new LangfuseClient({
      publicKey: options.publicKey,
      secretKey: options.secretKey,
      baseUrl: options.host,
      release: options.release,
      environment: options.environment,
      flushAt: options.captureContent ? BATCH_WITH_CONTENT : BATCH,
      flushInterval: FLUSH_INTERVAL_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      fetchRetryCount: RETRIES,
      fetchRetryDelay: RETRY_DELAY_MS,
      // Sampled here, once, before anything is built.
      sampleRate: 1,
    });
    this.#client.on('warning', (cause: unknown) => {
      if (cause instanceof Error) this.#batchFailed = true;
    });
    this.#client.on('flush', (events: readonly unknown[]) => this.#delivered(events.length));
  }

  /** Events that were not sent or not taken. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Events not yet delivered. */
  get backlog(): number {
    return this.#backlog;
  }

  request(record: RequestRecord): void {
    if (!this.#sampled(record.billingId)) return;
    const events = 1 + record.attempts.length;
    if (this.#backlog + events > this.#limit) {
      this.#dropped += events;
      return;
    }
    try {
      this.#trace(record);
      this.#backlog += events;
    } catch {
      this.#dropped += events;
    }
  }

  get #limit(): number {
    const { captureContent } = this.options;
    if (this.#isAway) return captureContent ? BATCH_WITH_CONTENT : BATCH;
    return captureContent ? MAX_BACKLOG_WITH_CONTENT : MAX_BACKLOG;
  }

  /** Sends what is waiting, for at most `timeoutMs`. */
  async close(timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (this.#backlog > 0 && performance.now() < deadline) {
      this.#client.flush();
      await sleep(20);
    }
  }

  #trace(record: RequestRecord): void {
    const content = this.options.captureContent ? tracedContent(record) : {};
    this.#client.trace(buildTrace(record, content));
    for (const generation of buildGenerations(record, content)) this.#client.generation(generation);
  }

  /** The SDK says first that a batch failed, then which one it was. */
  #delivered(events: number): void {
    this.#backlog = Math.max(0, this.#backlog - events);
    if (this.#batchFailed) this.#dropped += events;
    this.#isAway = this.#batchFailed;
    this.#batchFailed = false;
  }

  /** By the id's random end: the same answer for the same request. */
  #sampled(billingId: string): boolean {
    return Number.parseInt(billingId.slice(-8), 16) < this.options.sampleRate * 0x1_0000_0000;
  }
}

function tracedContent(record: RequestRecord): TracedContent {
  return { input: traceContent(record.content?.input), output: traceContent(record.content?.output) };
}
