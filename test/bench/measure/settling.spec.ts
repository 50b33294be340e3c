import { expect, it } from 'vitest';
import { FILLING_MINUTES, settlingMinutes } from './settling.ts';

it('waits until a process is full, where a third of the soak is left after that', () => {
  expect(settlingMinutes(30)).toBe(10);
  expect(settlingMinutes(67)).toBeCloseTo(22.3, 1);
  expect(settlingMinutes(75)).toBe(FILLING_MINUTES);
  expect(settlingMinutes(600)).toBe(FILLING_MINUTES);
});
