import { fileURLToPath } from 'node:url';
import { freePort, startChild, SUBJECT_CORE, untilAnswers } from './child.ts';
import { NODE_FLAGS } from './node-flags.ts';
import type { Subject } from './subject.ts';

export async function startRawProxy(folder: string, upstreamPort: number): Promise<Subject> {
  const port = await freePort();
  const inspectorPort = await freePort();
  const program = fileURLToPath(new URL('raw-proxy.ts', import.meta.url));
  const child = startChild(
    process.execPath,
    [...NODE_FLAGS, `--inspect-port=127.0.0.1:${inspectorPort}`, program, String(port), String(upstreamPort)],
    { name: 'raw', folder, core: SUBJECT_CORE },
  );
  await untilAnswers(`http://127.0.0.1:${port}/`, 'the raw proxy');
  return {
    name: 'raw',
    title: 'raw Node proxy',
    port,
    path: '/v1/chat/completions',
    headers: [],
    pids: [child.pid],
    helperPids: [],
    inspectorPort,
    forgetLog: child.forgetLog,
    stop: child.stop,
  };
}
