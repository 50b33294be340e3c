/* oxlint-disable node/no-process-env -- a switch of tests is no setting: it has no place in the configuration that operators read */

/** What money rests on; each can be taken away, to see that the tests notice. */
export type Guarantee =
  /** A charge is on the disk before the client sees the end. */
  | 'journal-off'
  /** A hold is given only when the money is there. */
  | 'guard-off'
  /** The answer of a charged Idempotency-Key goes to the disk with its charge. */
  | 'answer-off'
  /** An Idempotency-Key is executed once. */
  | 'dedup-off'
  /** Holds come back by evidence, not because time has passed. */
  | 'timer-release'
  /** Statements that lock several rows lock them in one order. */
  | 'unsorted-locks';

const broken = process.env.ENVIRONMENT === 'test' ? process.env.GATEWAY_BREAK : undefined;

/**
 * For control runs of test/chaos: true when `GATEWAY_BREAK` names this guarantee. Always false unless `ENVIRONMENT=test`.
 */
export function isBroken(guarantee: Guarantee): boolean {
  return broken === guarantee;
}
