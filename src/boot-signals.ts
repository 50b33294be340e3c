import cluster from 'node:cluster';

/** As long as SHUTDOWN_GRACE_SECONDS by default, which is not known yet. */
const BOOT_PATIENCE_MS = 30_000;

let stopSignal: NodeJS.Signals | undefined;
let patience: NodeJS.Timeout | undefined;

/**
 * Imported before everything else. A node that listens for no signal ignores it as process 1 of a container, and dies of it at once
 * elsewhere, with an embedded database left behind. So from the first line on SIGTERM and SIGINT are kept until the boot is far enough
 * to end properly (`onStopSignal`); a boot that takes too long, or a second signal, ends the process at once.
 */
function keep(signal: NodeJS.Signals): void {
  if (stopSignal !== undefined) process.exit(1);
  stopSignal = signal;
  // Of several workers the primary has been told, too.
  if (!cluster.isWorker)
    process.stderr.write(`${signal} during startup: exiting as soon as startup is complete\n`);
  patience = setTimeout(() => process.exit(0), BOOT_PATIENCE_MS);
}

process.on('SIGTERM', keep);
process.on('SIGINT', keep);

// What these two ask for (read the gateway file, open the log files anew) a boot does anyway.
process.on('SIGHUP', () => undefined);
process.on('SIGUSR2', () => undefined);

/** From now on `handler` gets SIGTERM and SIGINT, at once when one came during the boot. */
export function onStopSignal(handler: (signal: NodeJS.Signals) => void): void {
  clearTimeout(patience);
  // First add the new one, then remove the old: without a listener Node drops a signal that has arrived but was not delivered yet.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, handler).off(signal, keep);
  if (stopSignal !== undefined) handler(stopSignal);
}
