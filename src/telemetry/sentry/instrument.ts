/**
 * First import of main.ts. Does nothing unless SENTRY_AUTO_INSTRUMENTATION is on: Sentry's own tracing of http, Express
 * and pg must be installed before those modules load, and costs 2.4 times the CPU of a request even when nothing is
 * sampled. Without the switch Sentry is started with the other sinks, from the checked configuration.
 */
import { currentEnvironment } from '../../config/environment-file.js';

const environment = currentEnvironment();

if (environment.SENTRY_DSN && /^(?:true|1|yes|on)$/i.test(environment.SENTRY_AUTO_INSTRUMENTATION ?? '')) {
  const { startSentry } = await import('./start-sentry.js');
  await startSentry({
    dsn: environment.SENTRY_DSN,
    environment: environment.ENVIRONMENT ?? 'development',
    release: environment.APP_VERSION,
    autoInstrumentation: true,
    tracesSampleRate: Number(environment.SENTRY_TRACES_SAMPLE_RATE ?? 0) || 0,
  });
}
