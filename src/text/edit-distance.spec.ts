import fc from 'fast-check';
import { expect, it } from 'vitest';
import { editDistance } from './edit-distance.js';

/** By its definition. */
function plainDistance(left: string, right: string): number {
  if (left === '' || right === '') return left.length + right.length;
  const [first, ...others] = [left.slice(1), right.slice(1)] as const;
  const changed = plainDistance(first, others[0]!) + (left[0] === right[0] ? 0 : 1);
  return Math.min(changed, plainDistance(first, right) + 1, plainDistance(left, others[0]!) + 1);
}

it('is what it is by its definition, as far as it is asked for', () => {
  const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 6 });
  fc.assert(
    fc.property(word, word, fc.nat(3), (left, right, most) => {
      const expected = plainDistance(left, right);
      const found = editDistance(left, right, most);
      if (expected <= most) expect(found).toBe(expected);
      else expect(found).toBeGreaterThan(most);
    }),
    { numRuns: 300 },
  );
});
