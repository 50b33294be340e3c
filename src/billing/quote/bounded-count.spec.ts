import { countTokens } from 'gpt-tokenizer/encoding/o200k_base';
import { beforeAll, describe, expect, it } from 'vitest';
import { countBounded, loadTokenizer } from './bounded-count.js';

const LETTERS = Array.from({ length: 5_000 }, (_, at) => String.fromCharCode(97 + ((at * at * 7) % 26))).join(
  '',
);

describe('countBounded', () => {
  beforeAll(async () => {
    countTokens('warm');
    await loadTokenizer('o200k_base');
  });

  it.each([
    'Say hello.',
    'The quick brown fox, jumps over 1234567 lazy dogs. '.repeat(200),
    'function foo(bar) {\n    return bar.map((x) => x * 2);\n}\n'.repeat(100),
    '今日は良い天気ですね。 明日も。\n'.repeat(100),
    '',
  ])('counts ordinary text exactly: %.30j', async (text) => {
    expect(await countBounded(text, 'o200k_base')).toBe(countTokens(text));
  });

  it('takes the names of special tokens for text', async () => {
    expect(await countBounded('a <|endoftext|> b <|im_start|>', 'o200k_base')).toBeGreaterThan(4);
    expect(await countBounded('<|endofprompt|>', 'cl100k_base')).toBeGreaterThan(1);
  });

  it.each([
    ['a letter', 'a'],
    ['Chinese', '漢'],
    ['blanks', ' '],
    ['line ends', '\r\n'],
    ['punctuation', '!'],
    ['faces', '💥'],
    ['half a face', '\ud83d'],
    ['marks', 'e\u0301\u0302\u0303'],
    ['letters without an end', LETTERS],
    ['words of 4,000', `${'x'.repeat(3_999)} `],
  ])('needs time in proportion to the text: a megabyte of %s', async (_what, unit) => {
    const text = unit.repeat(Math.ceil(2 ** 20 / unit.length));
    const startedMs = performance.now();
    const tokens = await countBounded(text, 'o200k_base');
    expect(tokens).toBeGreaterThan(0);
    // Unbounded, 0.1 MB of these takes 10 to 80 s.
    expect(performance.now() - startedMs).toBeLessThan(2_000);
  });

  it('stays within a tenth of the exact count for words without an end', async () => {
    const exact = countTokens(LETTERS);
    const counted = await countBounded(LETTERS, 'o200k_base');
    expect(counted).toBeGreaterThanOrEqual(exact);
    expect(counted).toBeLessThan(exact * 1.1);
  });

  it('judges a very long text by samples of all of it', async () => {
    const text = 'word '.repeat(400_000) + 'x'.repeat(200_000);
    const tokens = await countBounded(text, 'o200k_base');
    expect(tokens).toBeGreaterThan(400_000 * 0.9);
    expect(tokens).toBeLessThan(430_000 * 1.1);
  });
});
