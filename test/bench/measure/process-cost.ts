import { readdirSync, readFileSync } from 'node:fs';

const TICKS_PER_SECOND = 100;

/** CPU time so far of each process, all its threads, µs. */
export type CpuBooks = ReadonlyMap<number, number>;

/** From the scheduler's own books (Linux). */
export function readCpu(pids: readonly number[]): CpuBooks {
  const books = new Map<number, number>();
  for (const pid of pids) {
    let micros = 0;
    for (const task of list(`/proc/${pid}/task`)) {
      micros += Number(read(`/proc/${pid}/task/${task}/schedstat`).split(' ')[0] ?? 0) / 1000;
    }
    books.set(pid, micros);
  }
  return books;
}

/** What was spent between two readings. A process that began in between counts whole, one that ended not at all. */
export function cpuBetween(opened: CpuBooks, closed: CpuBooks): number {
  let micros = 0;
  for (const [pid, now] of closed) micros += now - (opened.get(pid) ?? 0);
  return micros;
}

/** Busy time of all processors since the machine started, whoever it was spent on, µs. */
export function machineBusyMicros(): number {
  const [, user, nice, system, , , hardInterrupts, softInterrupts] = read('/proc/stat')
    .split('\n', 1)[0]!
    .split(/\s+/)
    .map(Number);
  return ((user! + nice! + system! + hardInterrupts! + softInterrupts!) * 1e6) / TICKS_PER_SECOND;
}

/** Resident memory, bytes. */
export function residentBytes(pids: readonly number[]): number {
  let total = 0;
  for (const pid of pids)
    total += Number(/VmRSS:\s+(\d+)/.exec(read(`/proc/${pid}/status`))?.[1] ?? 0) * 1024;
  return total;
}

/** A process and all that descend from it. */
export function processTree(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of list('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = read(`/proc/${name}/stat`);
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const found: number[] = [];
  const walk = (pid: number): void => {
    found.push(pid);
    for (const child of children.get(pid) ?? []) walk(child);
  };
  walk(root);
  return found;
}

/** Whether it is one of PostgreSQL's. */
export function isPostgres(pid: number): boolean {
  return /postgres/.test(read(`/proc/${pid}/comm`));
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
