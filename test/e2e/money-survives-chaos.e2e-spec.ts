import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const RIG = fileURLToPath(new URL('../chaos/run.ts', import.meta.url));
const run = promisify(execFile);

/**
 * The rig of test/chaos, a quarter of a minute of it, with another seed each time. It judges the books alone, never how
 * fast anything was; when it fails, what it prints names the seed and the command.
 */
it(
  'three gateways, killed and frozen at random: the books agree with the clients',
  { timeout: 420_000 },
  async () => {
    const { stdout } = await run(process.execPath, [RIG, '--profile', 'check']).catch(
      (error: { stdout?: string; stderr?: string }) => ({ stdout: `${error.stdout}${error.stderr}` }),
    );
    console.log(stdout);
    expect(stdout.trimEnd().split('\n').at(-1), stdout).toBe('GOOD');
  },
);
