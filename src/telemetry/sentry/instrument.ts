/**
 * First import of main.ts. Does nothing unless SENTRY_AUTO_INSTRUMENTATION is on: Sentry's own tracing of http, Express
 * and pg must be installed before those modules load, and costs 2.4 times the CPU of a request even when nothing is
 * sampled. Without the switch Sentry is started with the other sinks, from the checked configuration.
 */
import { currentEnvironment } from '../../config/environment-file.js';
import { secretOf } from '../../config/secret-files.js';

const environment = currentEnvironment();
/** A file that cannot be read is told with all other faults, later. */
const dsn = secretOf(environment, 'SENTRY_DSN').value;

if (dsn && /^(?:true|1|yes|on)$/i.test(environment.SENTRY_AUTO_INSTRUMENTATION ?? '')) {
  const { startSentry } = await import('./start-sentry.js');
  await startSentry({
    dsn,
    environment: environment.ENVIRONMENT ?? 'development',
    release: environment.APP_VERSION,
    autoInstrumentation: true,
    tracesSampleRate: Number(environment.SENTRY_TRACES_SAMPLE_RATE ?? 0) || 0,
  });
}
