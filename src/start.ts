import cluster from 'node:cluster';
import './telemetry/sentry/instrument.js';
import { answerPulse } from './cluster/worker-pulse.js';
import { runsAsPrimary, superviseWorkers } from './cluster/supervise-workers.js';
import type { AppConfig } from './config/app-config.js';
import { ConfigurationError } from './config/configuration-error.js';
import { type LoadedConfiguration, loadConfiguration } from './config/load-configuration.js';
import { PROVIDERS } from './providers/provider-strategies.js';
import { describeError } from './telemetry/describe-error.js';
import { GatewayLogger } from './telemetry/logging/gateway-logger.js';
import { type Logs, processLogs } from './telemetry/logging/logs.js';
import { maskSecrets } from './telemetry/mask-secrets.js';

/** One process, or the supervisor of several. Every fault of the configuration is a line on stderr, and exit code 1. */
export async function start(): Promise<void> {
  let config: AppConfig;
  try {
    const loaded = loadConfiguration();
    // Of several workers each would stop for it, and be started again.
    if (!cluster.isWorker) await requirePrices(loaded);
    ({ config } = loaded);
  } catch (error) {
    process.stderr.write(
      `${error instanceof ConfigurationError ? error.faults.join('\n') : stackOf(error)}\n`,
    );
    process.exit(1);
  }
  const logs = processLogs(config);
  try {
    if (!cluster.isWorker) await announce(config, logs);
    if (runsAsPrimary(config)) await superviseWorkers(config, logs);
    else {
      await (await import('./server.js')).startServer(new GatewayLogger(logs));
      if (cluster.isWorker) answerPulse();
    }
  } catch (error) {
    refuse(error, config, logs);
  }
}

/** Only the file can lack any. */
async function requirePrices(loaded: LoadedConfiguration): Promise<void> {
  if (loaded.gatewayConfig.models.size === 0) return;
  const { configuredCatalog } = await import('./models/configured-catalog.js');
  const { faults } = configuredCatalog(loaded, PROVIDERS);
  if (faults.length > 0) throw new ConfigurationError(faults);
}

/** Written out before the program is loaded, which takes most of the start and lets no timer run. */
async function announce({ version, http }: AppConfig, logs: Logs): Promise<void> {
  const workers = http.workers > 1 ? `, ${http.workers} workers` : '';
  logs.lines.info(
    `LLM Gateway ${version} is starting (Node ${process.versions.node}, pid ${process.pid}${workers})`,
  );
  await logs.flush();
}

/** In the log, where whoever collects it finds it; when that is a file, whoever looks at the terminal finds it there. */
function refuse(error: unknown, config: AppConfig, logs: Logs): never {
  const reasons = reasonsOf(error);
  for (const reason of reasons) logs.lines.fatal({ context: 'Start' }, reason);
  if (reasons.length === 0)
    logs.lines.fatal({ context: 'Start', error: describeError(error) }, 'the start failed');
  logs.flushSync();
  if (config.observability.logFile !== undefined)
    process.stderr.write(`${reasons.length > 0 ? reasons.join('\n') : stackOf(error)}\n`);
  process.exit(1);
}

/** None: it is a fault of the program. A stack would only hide what is wrong with the settings or what the operating system refuses. */
function reasonsOf(error: unknown): readonly string[] {
  if (error instanceof ConfigurationError) return error.faults;
  return error instanceof Error && 'syscall' in error ? [error.message] : [];
}

function stackOf(error: unknown): string {
  return maskSecrets(error instanceof Error ? (error.stack ?? error.message) : String(error));
}
