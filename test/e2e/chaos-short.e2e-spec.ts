import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const RIG = fileURLToPath(new URL('../chaos/run.ts', import.meta.url));
/** The rig ends what it started when it is told to end. */
const LIMIT_MS = 230_000;

it(
  'the books agree with what every client saw, after kills and freezes of gateways, Postgres and Redis',
  { timeout: LIMIT_MS + 20_000 },
  async () => {
    const { code, output } = await run(['--profile', 'short']);
    expect(code, output).toBe(0);
  },
);

function run(parameters: readonly string[]): Promise<{ code: number | string | null; output: string }> {
  const options = { timeout: LIMIT_MS, maxBuffer: 16 * 1024 * 1024 };
  return new Promise((resolve) => {
    execFile(process.execPath, [RIG, ...parameters], options, (error, stdout, stderr) => {
      resolve({ code: error ? (error.code ?? error.signal ?? 'failed') : 0, output: `${stdout}\n${stderr}` });
    });
  });
}
