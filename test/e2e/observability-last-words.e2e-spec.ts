import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const TELEMETRY = fileURLToPath(new URL('../../dist/src/telemetry', import.meta.url));

/** Runs a program with the gateway's log on stdout. @returns its lines and how it ended */
function run(program: string) {
  const prelude = `
    import { Telemetry } from '${TELEMETRY}/telemetry.js';
    import { Logs } from '${TELEMETRY}/logging/logs.js';
    import { CrashReports } from '${TELEMETRY}/crash-reports.js';
    const logs = new Logs({ level: 'info', file: undefined, auditFile: undefined, pretty: false });
    const told = [];
    const telemetry = new Telemetry();
    telemetry.addSink({ event: (event) => told.push(event.kind + ' ' + event.where) });
    const remote = { close: async () => logs.lines.info({ told }, 'remote sinks closed') };
    new CrashReports(telemetry, logs, remote).install();
  `;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '--eval', prelude + program],
    {
      encoding: 'utf8',
      timeout: 20_000,
    },
  );
  const lines = stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  return { status, stderr, lines };
}

describe('a process that ends', () => {
  it('of an error nobody caught leaves one fatal line without secrets, and tells its sinks', () => {
    const { status, stderr, lines } = run(`
      logs.lines.info('before');
      setTimeout(() => { throw new Error('no answer for Bearer abcdefghijklmnop at postgres://me:secret@db/x'); }, 10);
      setInterval(() => {}, 1000);
    `);
    expect(status).toBe(1);
    expect(lines.map(({ message }) => message)).toEqual([
      'before',
      'the process exits',
      'remote sinks closed',
    ]);
    expect(lines[1]).toMatchObject({ level: 'fatal', where: 'uncaught exception', error: { type: 'Error' } });
    expect(lines[2]).toMatchObject({ told: ['unexpected-error uncaught exception'] });
    expect(JSON.stringify(lines) + stderr).not.toMatch(/abcdefghijklmnop|secret/);
  });

  it('of a promise nobody waited for, too', () => {
    const { status, lines } = run(`void Promise.reject(new TypeError('lost')); setInterval(() => {}, 1000);`);
    expect(status).toBe(1);
    expect(lines[0]).toMatchObject({
      level: 'fatal',
      where: 'unhandled rejection',
      error: { type: 'TypeError' },
    });
  });

  it('by itself has written every line, however fast', () => {
    const { status, lines } = run(
      `for (let i = 0; i < 5000; i++) logs.lines.info({ i }, 'line'); process.exit(0);`,
    );
    expect(status).toBe(0);
    expect(lines).toHaveLength(5000);
    expect(lines.at(-1)).toMatchObject({ i: 4999 });
  });
});
