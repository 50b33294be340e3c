import { fileURLToPath } from 'node:url';
import { type Child, freePort, startChild, TOOL_CORE, untilAnswers } from './child.ts';

const PROGRAM = fileURLToPath(new URL('../upstream/upstream.ts', import.meta.url));

/** What every subject forwards to. Resolves when it answers. */
export async function startUpstream(
  folder: string,
): Promise<{ readonly child: Child; readonly port: number }> {
  const port = await freePort();
  const child = startChild(process.execPath, [PROGRAM, String(port)], {
    name: 'upstream',
    folder,
    core: TOOL_CORE,
  });
  await untilAnswers(`http://127.0.0.1:${port}/`, 'the upstream');
  return { child, port };
}
