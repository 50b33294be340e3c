import './telemetry/sentry/instrument.js';
import { runsAsPrimary, superviseWorkers } from './cluster/supervise-workers.js';
import { ConfigurationError } from './config/configuration-error.js';
import { loadConfiguration } from './config/load-configuration.js';
import { requireNodeVersion } from './config/node-version.js';
import { startServer } from './server.js';

requireNodeVersion();

try {
  const { config } = await loadConfiguration();
  if (runsAsPrimary(config)) await superviseWorkers(config);
  else await startServer();
} catch (error) {
  const lines =
    error instanceof ConfigurationError
      ? error.faults
      : [error instanceof Error ? error.stack : String(error)];
  process.stderr.write(`${lines.join('\n')}\n`);
  process.exit(1);
}
