import { type ChildProcess, execFile, type ExecFileOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const PROJECT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
export const DEPLOYMENTS = join(PROJECT, 'deployments');

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs to the end; a failure is an outcome, not an exception. */
export function run(
  program: string,
  args: readonly string[],
  options: ExecFileOptions = {},
): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(
      program,
      [...args],
      { timeout: 50_000, maxBuffer: 64 * 2 ** 20, ...options },
      (error, stdout, stderr) => {
        const code = error ? (typeof error.code === 'number' ? error.code : 255) : 0;
        resolve({ code, stdout: String(stdout), stderr: String(stderr) });
      },
    );
  });
}

/** A script of `deployments/`. */
export function runScript(
  name: string,
  args: readonly string[],
  options: ExecFileOptions = {},
): Promise<Outcome> {
  return run(join(DEPLOYMENTS, name), args, options);
}

/** Where a program is, also in the system folders that a user's PATH may lack. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin', '/usr/local/sbin'];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

/** @throws Error with an instruction: a test that needs a program fails without it, it is never skipped */
export function requireProgram(name: string, debianPackage = name): string {
  const path = findProgram(name);
  if (path === undefined)
    throw new Error(`This test needs ${name} on PATH: apt-get install ${debianPackage}`);
  return path;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** A program in the background, ended with the test. */
export class Background implements AsyncDisposable {
  readonly #child: ChildProcess;
  output = '';

  constructor(
    program: string,
    args: readonly string[],
    options: { env?: NodeJS.ProcessEnv; cwd?: string } = {},
  ) {
    this.#child = spawn(program, [...args], { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    }
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** `undefined` while it runs; `null` when a signal ended it. */
  get exitCode(): number | null | undefined {
    return this.hasEnded ? this.#child.exitCode : undefined;
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.hasEnded) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill(signal);
    await ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop('SIGKILL');
  }
}
