import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

export type Priority = 'usual' | 'real time in open loops' | 'real time throughout';

/** Fields of `/proc/<pid>/stat` behind the name: the 41st of all is the scheduling policy. */
const POLICY_FIELD = 38;
const USUAL_POLICY = '0';

/** Root mostly may run in real time, others not. Who started us in real time gets all of it so. */
export const priority: Priority = isRealTime()
  ? 'real time throughout'
  : spawnSync('chrt', ['-r', '1', 'true']).status === 0
    ? 'real time in open loops'
    : 'usual';

/**
 * Real-time priority for everybody alike, so that other work on the machine does not show as their latency. Databases
 * stand below: they are on the core of the load generator and the upstream only because two cores is all there may be, and
 * a statement that settles forty requests would hold both up for some milliseconds.
 */
export function runInRealTime(pids: readonly number[], databasePids: readonly number[]): void {
  change(pids, ['-r', '-p', '2']);
  change(databasePids, ['-r', '-p', '1']);
}

export function runAsUsual(pids: readonly number[]): void {
  change(pids, ['-o', '-p', '0']);
}

function change(pids: readonly number[], policy: readonly string[]): void {
  if (priority !== 'real time in open loops') return;
  for (const pid of pids) spawnSync('chrt', ['-a', ...policy, String(pid)]);
}

function isRealTime(): boolean {
  const stat = readFileSync('/proc/self/stat', 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[POLICY_FIELD] !== USUAL_POLICY;
}
