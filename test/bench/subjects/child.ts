import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, ftruncateSync, openSync } from 'node:fs';
import { createServer } from 'node:net';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

/** What has to be ended with the run. */
export const running = new Set<ChildProcess>();
const STOP_LIMIT_MS = 10_000;

/** With two cores or more the gateways get one of their own, and load and upstream another. */
export const isPinned = availableParallelism() > 1 && spawnSync('taskset', ['-V']).status === 0;
export const SUBJECT_CORE = 1;
export const TOOL_CORE = 0;

export interface Child {
  readonly pid: number;
  /** Empties its log: a long run would fill the disk. */
  forgetLog(): void;
  stop(): Promise<void>;
}

export interface ChildOptions {
  readonly name: string;
  readonly folder: string;
  readonly core: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** Starts a program, on a core, with its output in a file of the run's folder. */
export function startChild(command: string, args: readonly string[], options: ChildOptions): Child {
  const log = openSync(join(options.folder, `${options.name}.log`), 'a+');
  const whole = isPinned ? ['taskset', '-c', String(options.core), command, ...args] : [command, ...args];
  const child = spawn(whole[0]!, whole.slice(1), {
    cwd: options.cwd ?? options.folder,
    env: { PATH: process.env['PATH'], NODE_ENV: 'production', ...options.env },
    stdio: ['ignore', log, log],
  });
  running.add(child);
  child.on('exit', () => {
    running.delete(child);
    closeSync(log);
  });
  return {
    pid: child.pid!,
    forgetLog: () => child.exitCode === null && ftruncateSync(log, 0),
    stop: () => stopChild(child),
  };
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (!running.has(child)) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const killer = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
  await ended;
  clearTimeout(killer);
}

export async function stopAll(): Promise<void> {
  await Promise.all([...running].map(stopChild));
}

/** Moves a process that is not ours to start (the database's) to a core. */
export function pin(pids: readonly number[], core: number): void {
  if (!isPinned) return;
  for (const pid of pids) spawnSync('taskset', ['-a', '-c', '-p', String(core), String(pid)]);
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

export async function untilAnswers(url: string, what: string, limitMs = 60_000): Promise<void> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
      await response.arrayBuffer();
      return;
    } catch (error) {
      if (performance.now() > deadline) throw new Error(`${what} does not answer`, { cause: error });
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
