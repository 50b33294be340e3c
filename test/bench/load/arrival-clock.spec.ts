import { expect, it } from 'vitest';
import { ArrivalClock, monotonicMs } from './arrival-clock.ts';

const PER_SECOND = 500;
const STALL_MS = 300;

it('keeps its schedule while its process is busy: nobody who was due then is forgotten or called late', async () => {
  const dues: number[] = [];
  const clock = ArrivalClock.start(PER_SECOND, (dueMs) => dues.push(dueMs));
  await until(() => dues.length > 20);
  const stalledMs = monotonicMs();
  while (monotonicMs() < stalledMs + STALL_MS);
  await until(() => dues.at(-1)! > stalledMs + STALL_MS + 100);
  await clock.stop();

  const inStall = dues.filter((dueMs) => dueMs >= stalledMs && dueMs < stalledMs + STALL_MS).length;
  const expected = (PER_SECOND * STALL_MS) / 1000;
  // A Poisson count lies within five standard deviations but for once in a million.
  expect(Math.abs(inStall - expected)).toBeLessThan(5 * Math.sqrt(expected));
  expect(dues).toEqual([...dues].sort((first, second) => first - second));
});

it('is silent after its stop', async () => {
  let arrivals = 0;
  const clock = ArrivalClock.start(1000, () => arrivals++);
  await until(() => arrivals > 5);
  await clock.stop();
  const before = arrivals;
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(arrivals).toBe(before);
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}
