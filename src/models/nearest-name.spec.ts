import { describe, expect, it } from 'vitest';
import { nearestName } from './nearest-name.js';

const NAMES = ['gpt-4', 'gpt-4o', 'gpt-4o-mini', 'claude-sonnet-4-5', 'gemini-2.5-flash', 'o1', 'o3'];

describe('the nearest name', () => {
  it.each([
    ['gpt-4oo', 'gpt-4o'],
    ['gtp-4o-mini', 'gpt-4o-mini'],
    ['openai/gpt-4o', 'gpt-4o'],
    ['models/gemini-2.5-flash', 'gemini-2.5-flash'],
    ['claude-sonnet-4.5', 'claude-sonnet-4-5'],
    ['Claude_Sonnet_4.5', 'claude-sonnet-4-5'],
    ['gemini-2-5-flash', 'gemini-2.5-flash'],
  ])('to %s is %s', (written, meant) => {
    expect(nearestName(written, NAMES)).toBe(meant);
  });

  it.each(['llama-3', 'no-such-model', '', 'gpt', 'x'.repeat(101)])('to "%s" is none', (written) => {
    expect(nearestName(written, NAMES)).toBeUndefined();
  });

  it('is not looked for among thousands of long ones: every wrong name would stop the instance', () => {
    const names = Array.from({ length: 5_000 }, (_, index) => `${'x'.repeat(90)}${1_000 + index}`);
    const before = process.cpuUsage();
    expect(nearestName(`y${'x'.repeat(89)}abcd`, names)).toBeUndefined();
    expect(process.cpuUsage(before).user / 1000).toBeLessThan(50);
  });
});
