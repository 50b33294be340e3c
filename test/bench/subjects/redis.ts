import { spawnSync } from 'node:child_process';
import { connect } from 'node:net';
import { type Child, freePort, startChild, TOOL_CORE } from './child.ts';

const START_LIMIT_MS = 10_000;

/** The server's program; `undefined` where none is installed. */
export function redisProgram(): string | undefined {
  return ['redis-server', 'valkey-server'].find((name) => spawnSync(name, ['--version']).status === 0);
}

/** A store for shared limits, as several instances have it: empty, nothing on disk, beside the databases. */
export async function startRedis(folder: string): Promise<{ child: Child; url: string }> {
  const port = await freePort();
  const settings = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
  const child = startChild(redisProgram()!, settings, { name: 'redis', folder, core: TOOL_CORE });
  const deadlineMs = performance.now() + START_LIMIT_MS;
  while (!(await accepts(port))) {
    if (performance.now() > deadlineMs) throw new Error('Redis does not answer');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return { child, url: `redis://127.0.0.1:${port}` };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
