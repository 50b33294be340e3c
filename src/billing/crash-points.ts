/* oxlint-disable node/no-process-env -- a switch of tests is no setting: it has no place in the configuration that operators read */

/** Places where the money of a request is in between two stores. */
export type CrashPoint =
  /** The Idempotency-Key is claimed, nothing is held. */
  | 'after-claim'
  /** Money is held, nothing was sent upstream. */
  | 'after-hold'
  /** The provider has answered, nothing is written down. */
  | 'before-journal'
  /** The charge is on the disk, nowhere else, and the client has not seen the end. */
  | 'after-journal'
  /** The charge is in the database, and the journal does not know. */
  | 'after-settle-commit-before-mark'
  /** Charged in the database, and the answer that a retry would get is in the journal only. */
  | 'before-answer-stored'
  /** Charged and stored, and the journal does not know. */
  | 'after-answer-stored'
  /** A dead process's journal is booked, and that is not declared yet: its holds are still taken. */
  | 'before-replay-declared'
  /** Declared, and the journal is still there: it will be replayed once more. */
  | 'after-replay-declared';

const armed = process.env.ENVIRONMENT === 'test' ? parse(process.env.GATEWAY_CRASH_AT) : undefined;
let passed = 0;

/**
 * For tests: the process dies here as by `kill -9` when `GATEWAY_CRASH_AT` is `<name>` or `<name>:<n>` (the n-th time it
 * passes). Does nothing unless `ENVIRONMENT=test`.
 */
export function crashPoint(name: CrashPoint): void {
  if (armed?.name !== name) return;
  passed += 1;
  if (passed === armed.times) process.kill(process.pid, 'SIGKILL');
}

function parse(text: string | undefined): { name: string; times: number } | undefined {
  const [name, times = '1'] = text?.split(':') ?? [];
  return name === undefined || name === '' ? undefined : { name, times: Number(times) };
}
