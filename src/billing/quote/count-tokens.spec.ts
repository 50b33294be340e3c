import { Worker } from 'node:worker_threads';
import { afterEach, expect, it, vi } from 'vitest';
import { countBounded } from './bounded-count.js';
import { countTokens } from './count-tokens.js';

const TEXT = 'The quick brown fox, jumps over 1234567 lazy dogs. '.repeat(10_000);

afterEach(() => void vi.restoreAllMocks());

it('keeps nobody waiting while a vocabulary is loaded and a long text counted', async () => {
  const before = performance.eventLoopUtilization();
  const tokens = await countTokens(TEXT, 'o200k_base');
  const { active } = performance.eventLoopUtilization(before);
  const beforeHere = performance.eventLoopUtilization();
  expect(tokens).toBe(await countBounded(TEXT, 'o200k_base'));
  expect(active).toBeLessThan(performance.eventLoopUtilization(beforeHere).active / 3);
});

it('answers each question with its own count', async () => {
  const texts = ['', 'one', 'one two', 'one two three'];
  const counts = await Promise.all(texts.map((text) => countTokens(text, 'cl100k_base')));
  expect(counts).toEqual([0, 1, 2, 3]);
});

it('counts here what a thread that dies leaves uncounted, and with a new thread what comes after', async () => {
  const asked = vi.spyOn(Worker.prototype, 'postMessage');
  const waiting = countTokens(TEXT, 'o200k_base');
  const first = asked.mock.contexts[0] as Worker;
  await first.terminate();
  expect(await waiting).toBe(await countBounded(TEXT, 'o200k_base'));
  expect(await countTokens('one two', 'o200k_base')).toBe(2);
  expect(asked.mock.contexts[1]).not.toBe(first);
});
