import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, startChild, SUBJECT_CORE, untilAnswers } from './child.ts';
import { NODE_FLAGS } from './node-flags.ts';
import type { Subject } from './subject.ts';

/**
 * The versions of hono are those of Portkey's own lockfile. With what its ranges bring today, every stream is answered
 * with status 500, and it would not be a comparison.
 */
const PACKAGE = {
  private: true,
  dependencies: { '@portkey-ai/gateway': '1.15.2', hono: '4.9.7', '@hono/node-server': '1.13.5' },
  overrides: { hono: '4.9.7', '@hono/node-server': '1.13.5' },
};
const INSTALL_LIMIT_MS = 180_000;

/** @returns what went wrong, or `undefined` when it is there */
export function installPortkey(folder: string): string | undefined {
  if (existsSync(join(folder, 'node_modules/@portkey-ai/gateway/build/start-server.js'))) return undefined;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), JSON.stringify(PACKAGE));
  const done = spawnSync(
    'npm',
    ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'],
    {
      cwd: folder,
      encoding: 'utf8',
      timeout: INSTALL_LIMIT_MS,
    },
  );
  return done.status === 0 ? undefined : (done.stderr ?? String(done.error)).trim().slice(0, 300);
}

/** It neither authenticates, limits nor bills: it hands the request on. */
export async function startPortkey(
  installed: string,
  folder: string,
  upstreamPort: number,
): Promise<Subject> {
  const port = await freePort();
  const inspectorPort = await freePort();
  const child = startChild(
    process.execPath,
    [
      ...NODE_FLAGS,
      `--inspect-port=127.0.0.1:${inspectorPort}`,
      'node_modules/@portkey-ai/gateway/build/start-server.js',
      `--port=${port}`,
      '--headless',
    ],
    { name: 'portkey', folder, core: SUBJECT_CORE, cwd: installed },
  );
  await untilAnswers(`http://127.0.0.1:${port}/`, 'Portkey');
  return {
    name: 'portkey',
    title: `Portkey ${PACKAGE.dependencies['@portkey-ai/gateway']}`,
    port,
    path: '/v1/chat/completions',
    headers: ['x-portkey-provider: openai', `x-portkey-custom-host: http://127.0.0.1:${upstreamPort}/v1`],
    pids: [child.pid],
    helperPids: [],
    inspectorPort,
    forgetLog: child.forgetLog,
    stop: child.stop,
  };
}
