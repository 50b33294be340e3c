import cluster from 'node:cluster';
import './telemetry/sentry/instrument.js';
import { answerPulse } from './cluster/worker-pulse.js';
import { CONFIGURATION_FAULT, runsAsPrimary, superviseWorkers } from './cluster/supervise-workers.js';
import { ConfigurationError } from './config/configuration-error.js';
import { type LoadedConfiguration, loadConfiguration } from './config/load-configuration.js';
import { PROVIDERS } from './providers/provider-strategies.js';

/** One process, or the supervisor of several. Every fault of the configuration is a line, and exit code 1. */
export async function start(): Promise<void> {
  try {
    const loaded = loadConfiguration();
    const { config } = loaded;
    // Of several workers each would stop for it, and be started again.
    if (!cluster.isWorker) await requirePrices(loaded);
    if (runsAsPrimary(config)) await superviseWorkers(config);
    else {
      await (await import('./server.js')).startServer();
      if (cluster.isWorker) answerPulse();
    }
  } catch (error) {
    const lines = error instanceof ConfigurationError ? error.faults : [textOf(error)];
    process.stderr.write(`${lines.join('\n')}\n`);
    process.exit(cluster.isWorker && error instanceof ConfigurationError ? CONFIGURATION_FAULT : 1);
  }
}

/** Only the file can lack any. */
async function requirePrices(loaded: LoadedConfiguration): Promise<void> {
  if (loaded.gatewayConfig.models.size === 0) return;
  const { configuredCatalog } = await import('./models/configured-catalog.js');
  const { faults } = configuredCatalog(loaded, PROVIDERS);
  if (faults.length > 0) throw new ConfigurationError(faults);
}

function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // What the operating system refuses (a port that is taken) is no fault of the program: a stack would only hide it.
  return 'syscall' in error ? error.message : (error.stack ?? error.message);
}
