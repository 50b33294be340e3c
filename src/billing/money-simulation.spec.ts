import { describe, expect, it } from 'vitest';
import { MoneyWorld, type Rules, SOUND, type Verdict } from '../../test/simulation/money-world.js';

const HISTORIES = 3000;
const CONTROL_HISTORIES = 300;
const STEPS = 600;

/** Sums over many histories. A seed that shows a fault plays the same history again. */
function play(histories: number, rules: Rules): Verdict {
  const sum = { broken: 0, lost: 0, double: 0, shortfall: 0, stranded: 0, promised: 0, crashes: 0 };
  for (let seed = 1; seed <= histories; seed += 1) {
    const verdict = new MoneyWorld(seed, rules).play(STEPS);
    for (const key of Object.keys(sum) as (keyof Verdict)[]) sum[key] += verdict[key];
  }
  return sum;
}

describe('three gateways on one account, killed, frozen and cut off at random', () => {
  it('keep every promise, charge nothing twice, strand and lose nothing', { timeout: 60_000 }, () => {
    const verdict = play(HISTORIES, SOUND);
    expect(verdict).toMatchObject({ broken: 0, lost: 0, double: 0, shortfall: 0, stranded: 0 });
    expect(verdict.promised).toBeGreaterThan(HISTORIES * 20);
    expect(verdict.crashes).toBeGreaterThan(HISTORIES * 3);
  });

  it.each<[keyof Rules, keyof Verdict]>([
    ['guard', 'broken'],
    ['idempotentSettle', 'double'],
    ['journal', 'lost'],
    ['evidence', 'shortfall'],
    ['replayFirst', 'shortfall'],
    ['tendForgotten', 'stranded'],
  ])('CONTROL: without the rule "%s" the check "%s" finds it', { timeout: 60_000 }, (rule, check) => {
    expect(play(CONTROL_HISTORIES, { ...SOUND, [rule]: false })[check]).toBeGreaterThan(0);
  });

  it('play the same history from the same seed', () => {
    expect(new MoneyWorld(7).play(STEPS)).toEqual(new MoneyWorld(7).play(STEPS));
  });
});
