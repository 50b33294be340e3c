import fc from 'fast-check';
import type { FuzzTarget } from './fuzz-target.js';

export interface FuzzOptions {
  readonly seed: number;
  readonly runs: number;
  /** The run ends well, but early, when it takes longer. */
  readonly seconds: number;
  /** Where in the seed's inputs to begin: fast-check prints it with a failure. */
  readonly path?: string | undefined;
}

export interface FuzzResult {
  readonly runs: number;
  readonly seconds: number;
  readonly verdict: 'held' | 'FAILED';
  /** The smallest input that fails, and how to bring it back. */
  readonly report: string | undefined;
}

/** One bounded, repeatable run of one target. */
export async function fuzz(target: FuzzTarget, options: FuzzOptions): Promise<FuzzResult> {
  const startedMs = performance.now();
  const details = await fc.check(await target.property(), {
    seed: options.seed,
    numRuns: options.runs,
    interruptAfterTimeLimit: options.seconds * 1_000,
    ...(options.path === undefined ? {} : { path: options.path }),
  });
  const failed = details.failed && details.counterexample !== null;
  return {
    runs: details.numRuns,
    seconds: (performance.now() - startedMs) / 1_000,
    verdict: failed ? 'FAILED' : 'held',
    report: failed ? await report(details) : undefined,
  };
}

async function report(details: fc.RunDetails<unknown>): Promise<string> {
  const { errorInstance: error } = details;
  const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `${await fc.asyncDefaultReportMessage(details)}\n${reason}`;
}
