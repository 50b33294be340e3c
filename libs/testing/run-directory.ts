import type { ChildProcess } from 'node:child_process';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { identifyProcess, isProcessAlive } from '../../src/database/embedded/process-identity.js';
import { readPostmasterFile } from '../../src/database/embedded/postmaster.js';

const PREFIX = 'llm-gateway-test-';

/** The folder of one vitest run: everything its programs write, and a note of every program it started. */
export async function makeRunDirectory(): Promise<string> {
  await sweepDeadRuns();
  const dir = join(tmpdir(), PREFIX + (await identifyProcess(process.pid)));
  await mkdir(join(dir, 'processes'), { recursive: true });
  return dir;
}

/** Notes a child, so that the next run can end it should this one be killed. */
export async function noteProcess(runDirectory: string, child: ChildProcess): Promise<void> {
  if (child.pid === undefined) return;
  await writeFile(join(runDirectory, 'processes', await identifyProcess(child.pid)), '');
}

export async function removeRunDirectory(dir: string): Promise<void> {
  for (const identity of await readdir(join(dir, 'processes')).catch(() => [])) await kill(identity);
  await killPostgresBelow(dir);
  await rm(dir, { recursive: true, force: true, maxRetries: 5 }).catch(() => undefined);
}

/** What runs that were killed left behind: their servers and their folders. */
async function sweepDeadRuns(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(PREFIX) || (await isProcessAlive(name.slice(PREFIX.length)))) continue;
    await removeRunDirectory(join(tmpdir(), name));
  }
}

/** Servers that outlived their gateways: a folder below holds the cluster of a running one. */
async function killPostgresBelow(dir: string): Promise<void> {
  const entries = await readdir(dir, { withFileTypes: true }).catch(() => []);
  for (const entry of entries.filter((item) => item.isDirectory())) {
    const clusterDir = join(dir, entry.name, 'postgres');
    const postmaster = await readPostmasterFile(clusterDir);
    const options = await readFile(join(clusterDir, 'postmaster.opts'), 'utf8').catch(() => '');
    if (postmaster && options.includes('postgres')) quietly(() => process.kill(postmaster.pid, 'SIGQUIT'));
  }
}

async function kill(identity: string): Promise<void> {
  if (!(await isProcessAlive(identity))) return;
  quietly(() => process.kill(Number.parseInt(identity, 10), 'SIGKILL'));
}

function quietly(action: () => void): void {
  try {
    action();
  } catch {
    // gone already
  }
}
