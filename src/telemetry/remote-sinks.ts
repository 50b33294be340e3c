import type { AppConfig } from '../config/app-config.js';
import type { TelemetrySink } from './telemetry.js';

/** A sink with a backlog of its own. */
export interface RemoteSink extends TelemetrySink {
  readonly dropped: number;
  /** Sends what is waiting, for at most `timeoutMs`. Never throws. */
  close(timeoutMs: number): Promise<void>;
}

/** Both are given the same time at once. */
const CLOSE_TIMEOUT_MS = 2_000;

/** The sinks beyond log and metrics that the configuration asks for. Their SDKs are loaded only then. */
export class RemoteSinks {
  private constructor(readonly all: ReadonlyMap<string, RemoteSink>) {}

  static async create(config: AppConfig): Promise<RemoteSinks> {
    const sinks = new Map<string, RemoteSink>();
    const sentry = await sentrySink(config);
    if (sentry) sinks.set('sentry', sentry);
    const langfuse = await langfuseSink(config);
    if (langfuse) sinks.set('langfuse', langfuse);
    return new RemoteSinks(sinks);
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.all.values()].map((sink) => sink.close(CLOSE_TIMEOUT_MS)));
  }
}

async function sentrySink(config: AppConfig): Promise<RemoteSink | undefined> {
  const { sentryDsn, sentryTracesSampleRate, sentryAutoInstrumentation } = config.observability;
  if (!sentryDsn) return undefined;
  const { startSentry } = await import('./sentry/start-sentry.js');
  const { SentrySink } = await import('./sentry/sentry.sink.js');
  const { Scope } = await import('@sentry/nestjs');
  const client = await startSentry({
    dsn: sentryDsn.reveal(),
    environment: config.environment,
    release: config.version,
    autoInstrumentation: false,
    tracesSampleRate: 0,
  });
  return (
    client &&
    new SentrySink(client, () => new Scope(), {
      // With auto-instrumentation Sentry makes the transactions itself.
      tracesSampleRate: sentryAutoInstrumentation ? 0 : sentryTracesSampleRate,
      release: config.version,
      environment: config.environment,
    })
  );
}

async function langfuseSink(config: AppConfig): Promise<RemoteSink | undefined> {
  const { langfuse } = config.observability;
  if (!langfuse) return undefined;
  const { LangfuseSink } = await import('./langfuse/langfuse.sink.js');
  return new LangfuseSink({
    ...langfuse,
    secretKey: langfuse.secretKey.reveal(),
    release: config.version,
    environment: config.environment,
  });
}
