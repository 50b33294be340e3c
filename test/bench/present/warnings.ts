import type { Report } from './report.ts';

const LOAD_LIMIT = 2.5;
const FOREIGN_CORES_LIMIT = 0.15;
/** It is in everybody's latency alike, and the upstream's own is taken off. */
const LATENESS_LIMIT_MS = 2;

/** What speaks against believing a report, loudest first. */
export function warningsOf(report: Report): string[] {
  const { loadAverage, foreignCores, latenessMs, machine, failures } = report;
  const warnings: string[] = [];
  if (loadAverage[0] > LOAD_LIMIT) {
    warnings.push(
      `The load average was ${loadAverage[0].toFixed(1)} before the run: the machine was busy with something else.`,
    );
  }
  if (foreignCores > FOREIGN_CORES_LIMIT) {
    warnings.push(
      `Other processes kept ${foreignCores.toFixed(2)} cores busy during the run: latencies are theirs as well.`,
    );
  }
  if (latenessMs !== undefined && latenessMs > LATENESS_LIMIT_MS) {
    warnings.push(`The load generator was late itself (p99 ${latenessMs.toFixed(2)} ms).`);
  }
  if (!machine.isPinned) warnings.push('Nothing was pinned to a core: too few cores, or no taskset.');
  if (machine.isOnMemoryDisk)
    warnings.push('Databases and journals lay on a memory disk: durability cost nothing.');
  if (failures.length > 0) warnings.push('Requests failed, see the notes at the end.');
  return warnings;
}
