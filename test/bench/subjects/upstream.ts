import { fileURLToPath } from 'node:url';
import { freePort, startChild, TOOL_CORE, untilAnswers } from './child.ts';

const PROGRAM = fileURLToPath(new URL('../upstream/upstream.ts', import.meta.url));

/** What every subject forwards to. @returns its port, when it answers */
export async function startUpstream(folder: string): Promise<number> {
  const port = await freePort();
  startChild(process.execPath, [PROGRAM, String(port)], { name: 'upstream', folder, core: TOOL_CORE });
  await untilAnswers(`http://127.0.0.1:${port}/`, 'the upstream');
  return port;
}
