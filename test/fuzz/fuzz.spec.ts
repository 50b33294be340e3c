import 'reflect-metadata';
import { describe, expect, it } from 'vitest';
import { fuzz } from './fuzz.js';
import { FUZZ_TARGETS } from './targets/index.js';

/** The short runs are the same for everybody; the long ones, with other seeds, are a command. */
const SEED = 20_261_123;

describe('the fuzzers, briefly', () => {
  it.each(FUZZ_TARGETS.map((target) => [target.name, target] as const))(
    '%s',
    async (_name, target) => {
      const { runs, report } = await fuzz(target, { seed: SEED, runs: target.shortRuns, seconds: 20 });
      expect(report).toBeUndefined();
      expect(runs).toBeGreaterThan(0);
    },
    60_000,
  );
});
