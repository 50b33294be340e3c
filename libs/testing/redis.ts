import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, constants } from 'node:fs/promises';
import { connect } from 'node:net';
import { delimiter, join } from 'node:path';
import { inject } from 'vitest';
import { eventually } from './eventually.js';
import { freePort } from '../../src/database/embedded/free-port.js';
import { noteProcess } from './run-directory.js';

/** A Redis server of one test file: empty, in memory, on a port of its own that stays the same over restarts. */
export class TestRedis implements AsyncDisposable {
  #process: ChildProcess | undefined;

  private constructor(
    private readonly program: string,
    readonly port: number,
  ) {}

  static async start(): Promise<TestRedis> {
    const redis = new TestRedis(await findServer(), await freePort());
    await redis.restart();
    return redis;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts it again, empty, after `kill` or `stop`. */
  async restart(): Promise<void> {
    const settings = ['--port', String(this.port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
    const child = spawn(this.program, settings, { stdio: 'ignore' });
    this.#process = child;
    await noteProcess(inject('runDirectory'), child);
    await eventually('redis answers PING', () => child.exitCode === null && answersPing(this.port));
  }

  /** Freezes it: connections stay open, nothing is answered. */
  pause(): void {
    this.#process?.kill('SIGSTOP');
  }

  resume(): void {
    this.#process?.kill('SIGCONT');
  }

  kill(): Promise<void> {
    return this.#end('SIGKILL');
  }

  stop(): Promise<void> {
    return this.#end('SIGTERM');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGCONT');
    child.kill(signal);
    await ended;
  }
}

export function startRedis(): Promise<TestRedis> {
  return TestRedis.start();
}

/** @throws Error with an instruction: a test that needs Redis fails without it, it is never skipped */
async function findServer(): Promise<string> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    for (const name of ['redis-server', 'valkey-server']) {
      const file = join(folder, name);
      const found = await access(file, constants.X_OK).then(
        () => true,
        () => false,
      );
      if (found) return file;
    }
  }
  throw new Error(
    'These tests need redis-server (or valkey-server) on PATH, e.g. `apt-get install redis-server`.',
  );
}

function answersPing(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'));
    socket.setTimeout(500, () => socket.destroy());
    socket.on('data', (data) => {
      resolve(data.toString().startsWith('+PONG'));
      socket.destroy();
    });
    socket.on('error', () => resolve(false));
    socket.on('close', () => resolve(false));
  });
}
