import { expect, it } from 'vitest';
import { targetKey } from './target-key.js';

it('is the same for the same target only, however many there are', () => {
  const asked = (): string[] =>
    Array.from({ length: 3000 }, (_, index) => targetKey(`provider-${index % 3}`, `model-${index}`));
  const first = asked();
  expect(new Set(first).size).toBe(3000);
  expect(asked()).toEqual(first);
});
