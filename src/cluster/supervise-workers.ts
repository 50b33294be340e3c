import cluster, { type Worker } from 'node:cluster';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AppConfig } from '../config/app-config.js';
import { Secret } from '../config/secret.js';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../database/embedded-postgres.js';
import { serveLimitsToWorkers } from '../limits/cluster-limit-server.js';
import { onStopSignal } from '../boot-signals.js';
import type { Logs } from '../telemetry/logging/logs.js';
import { ClusterMetrics } from '../telemetry/metrics/cluster-metrics.js';
import { watchPulse } from './worker-pulse.js';

const FIRST_RESTART_DELAY_MS = 200;
const MAX_RESTART_DELAY_MS = 10_000;
/** A worker that lived this long was healthy: its successor starts without delay. */
const HEALTHY_AFTER_MS = 30_000;

interface State {
  stopping: boolean;
  /** A worker has taken requests, so that this is no longer the start. */
  served: boolean;
  delayMs: number;
  readonly logs: Logs;
}

/** True in the process that starts the others: WORKERS > 1 and not a worker itself. */
export function runsAsPrimary(config: AppConfig): boolean {
  return config.http.workers > 1 && cluster.isPrimary;
}

/**
 * One process per core on one port. A dead worker is replaced (slower and slower while it dies young), one that hangs is killed, signals are
 * passed on, and the primary exits when the last worker has drained. What the workers share without Redis belongs to the
 * primary: the embedded database, the counts of the rate limits, the sum of the metrics.
 */
export async function superviseWorkers(config: AppConfig, logs: Logs): Promise<void> {
  const database = await ownDatabase(config, logs);
  serveLimitsToWorkers();
  new ClusterMetrics(cluster);
  const state: State = { stopping: false, served: false, delayMs: FIRST_RESTART_DELAY_MS, logs };
  cluster.once('listening', () => (state.served = true));
  let signals = 0;
  const onSignal = (signal: NodeJS.Signals): void => {
    state.stopping = true;
    signals++;
    for (const worker of workers()) worker.process.kill(signal);
    if (signals === 1) void exitAfterWorkers(database);
  };
  onStopSignal(onSignal);
  // Reload of GATEWAY_CONFIG, reopening of log files.
  for (const signal of ['SIGHUP', 'SIGUSR2'] as const) {
    process.on(signal, () => {
      if (signal === 'SIGUSR2') logs.reopen();
      for (const worker of workers()) worker.process.kill(signal);
    });
  }
  if (state.stopping) return;
  for (let index = 0; index < config.http.workers; index++) startWorker(index, database, state);
}

function workers(): Worker[] {
  return Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined);
}

async function ownDatabase(config: AppConfig, logs: Logs): Promise<EmbeddedPostgres | undefined> {
  if (config.database.url instanceof Secret) return undefined;
  const log = (message: string): void => logs.lines.info({ context: 'Database' }, message);
  return startEmbeddedPostgres({ dataDir: config.dataDir, log });
}

function startWorker(index: number, database: EmbeddedPostgres | undefined, state: State): void {
  const startedMs = performance.now();
  const worker = cluster.fork({
    WORKER_INDEX: String(index),
    ...(database ? { DATABASE_URL: database.url } : {}),
  });
  watchPulse(worker, (silentMs) => {
    state.logs.lines.error(
      { context: 'Workers', worker: index },
      `worker ${index} has not answered for ${silentMs / 1000} s, and is killed`,
    );
    worker.process.kill('SIGKILL');
  });
  worker.on('exit', (code, signal) => {
    if (state.stopping) return;
    // Its successor would say the same; it has said why. Later it may pass, and the other workers serve meanwhile.
    if (!state.served && code > 0) {
      state.stopping = true;
      for (const other of workers()) other.process.kill('SIGTERM');
      void exitAfterWorkers(database, 1);
      return;
    }
    const livedMs = performance.now() - startedMs;
    state.delayMs =
      livedMs > HEALTHY_AFTER_MS ? FIRST_RESTART_DELAY_MS : Math.min(state.delayMs * 2, MAX_RESTART_DELAY_MS);
    state.logs.lines.error(
      { context: 'Workers', worker: index },
      `worker ${index} ended (${signal ?? code}), starting another in ${state.delayMs} ms`,
    );
    setTimeout(() => {
      if (!state.stopping) startWorker(index, database, state);
    }, state.delayMs);
  });
}

async function exitAfterWorkers(database: EmbeddedPostgres | undefined, code = 0): Promise<void> {
  while (workers().length > 0) await sleep(50);
  await database?.stop();
  process.exit(code);
}
