import { describe, expect, it } from 'vitest';
import { toTextArray } from './text-array.js';

describe('toTextArray', () => {
  it.each([
    [[], '{}'],
    [['user-1'], '{"user-1"}'],
    [['a', '', 'NULL', 'b, {c}'], '{"a","","NULL","b, {c}"}'],
    [['say "hi"', String.raw`C:\users`], String.raw`{"say \"hi\"","C:\\users"}`],
  ])('%j is %s', (values, text) => {
    expect(toTextArray(new Set(values))).toBe(text);
  });
});
