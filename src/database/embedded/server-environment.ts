/**
 * The environment of the server and of initdb: nothing of ours (PGDATA, PGPORT, LC_*, keys of providers), a fixed time
 * zone and locale. `undefined` = inherit, on Windows, where programs don't start without the system's variables.
 */
export function serverEnvironment(): Record<string, string> | undefined {
  if (process.platform === 'win32') return undefined;
  return { PATH: '/usr/local/bin:/usr/bin:/bin', TZ: 'UTC', LC_ALL: 'C' };
}
