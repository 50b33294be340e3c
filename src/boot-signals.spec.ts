import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';

const PROGRAM = `
  const { onStopSignal } = await import(${JSON.stringify(new URL('./boot-signals.ts', import.meta.url).href)});
  process.kill(process.pid, 'SIGTERM');
  onStopSignal((signal) => {
    console.log('told ' + signal);
    process.exit(0);
  });
  setTimeout(() => process.exit(3), 2000);
`;

describe('a signal that comes just before the boot is through', () => {
  it('is told to whoever ends the process from then on', () => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['--input-type=module', '--eval', PROGRAM],
      {
        encoding: 'utf8',
      },
    );
    expect({ status, stdout }, stderr).toEqual({ status: 0, stdout: 'told SIGTERM\n' });
  });
});
