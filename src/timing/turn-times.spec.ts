import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises';
import { performance } from 'node:perf_hooks';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TurnTimes } from './turn-times.js';

const turns = new TurnTimes();

beforeEach(async () => {
  turns.start();
  await sleep(20);
});
afterEach(() => turns.stop());

describe('the times of turns', () => {
  it('are short, and mostly none, when nothing happens', async () => {
    turns.reset();
    await sleep(1_000);
    expect(turns.percentileMs(50)).toBe(0);
    expect(turns.maxMs).toBeLessThan(500);
  });

  it('show how long everything stood still', async () => {
    turns.reset();
    await standStill(80);
    expect(turns.maxMs).toBeGreaterThanOrEqual(80);
    expect(turns.meanMs).toBeLessThanOrEqual(turns.maxMs);
    expect(turns.minMs).toBeLessThanOrEqual(turns.meanMs);
  });

  it('are weighed by what they last: one long turn among thousands of short ones is most of the time', async () => {
    turns.reset();
    for (let turn = 0; turn < 2_000; turn += 1) await immediate();
    await standStill(400);
    expect(turns.percentileMs(50)).toBeGreaterThanOrEqual(390);
    expect(turns.percentileMs(99)).toBeGreaterThanOrEqual(390);
  });

  it('are measured without waking the process', async () => {
    const turnsBefore = performance.nodeTiming.uvMetricsInfo.loopCount;
    await sleep(1_000);
    expect(performance.nodeTiming.uvMetricsInfo.loopCount - turnsBefore).toBeLessThan(40);
  });

  it('forget what was before a reset', async () => {
    await standStill(500);
    turns.reset();
    await sleep(30);
    expect(turns.maxMs).toBeLessThan(400);
  });
});

/** And the next turn has begun. A timer would not do: when others are due at the same time, it comes within this one. */
async function standStill(ms: number): Promise<void> {
  await sleep(1);
  const end = performance.now() + ms;
  while (performance.now() < end);
  await immediate();
  await immediate();
}
