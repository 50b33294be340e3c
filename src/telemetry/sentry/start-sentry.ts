import type { NodeClient } from '@sentry/nestjs';

/** The rest reads memory and devices for each event, which costs more than the event. */
const OS_ONLY = { app: false, device: false, culture: false, cloudResource: false } as const;

export interface SentrySettings {
  readonly dsn: string;
  readonly environment: string;
  readonly release: string | undefined;
  /** Sentry's own tracing of http, Express and pg: only when started before those modules load. */
  readonly autoInstrumentation: boolean;
  /** Of the auto-instrumentation; our own transactions are sampled by the sink. */
  readonly tracesSampleRate: number;
}

/**
 * Starts Sentry once; a second call gets the first one's client.
 *
 * Lean unless told otherwise: no OpenTelemetry, no patched modules, no breadcrumbs; what is sent is what `SentrySink`
 * hands over. The SDK (60 MB) is loaded only here, so an instance without SENTRY_DSN never pays for it.
 */
export async function startSentry(settings: SentrySettings): Promise<NodeClient | undefined> {
  const sentry = await import('@sentry/nestjs');
  const { boundedTransport } = await import('./sentry-transport.js');
  const { onlyOurs } = await import('./build-error-event.js');
  const { scrubTransaction } = await import('./scrub-transaction.js');
  const running = sentry.getClient<NodeClient>();
  if (running) return running;
  const common = {
    dsn: settings.dsn,
    environment: settings.environment,
    release: settings.release,
    sendDefaultPii: false,
    maxBreadcrumbs: 0,
    includeServerName: false,
    transport: boundedTransport,
    beforeSend: onlyOurs,
    beforeSendTransaction: scrubTransaction,
    registerEsmLoaderHooks: false,
  };
  if (settings.autoInstrumentation) {
    return sentry.init({
      ...common,
      tracesSampleRate: settings.tracesSampleRate,
      registerEsmLoaderHooks: undefined,
    });
  }
  return sentry.init({
    ...common,
    defaultIntegrations: false,
    integrations: [sentry.nodeContextIntegration(OS_ONLY)],
    skipOpenTelemetrySetup: true,
  });
}
