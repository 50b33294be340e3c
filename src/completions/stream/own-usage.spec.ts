import { describe, expect, it } from 'vitest';
import { ownUsage } from './own-usage.js';

const request = (content: string) => ({ model: 'm', messages: [{ role: 'user' as const, content }] });

describe('ownUsage', () => {
  it('counts what went in and what came out', async () => {
    expect(await ownUsage(request('Say hello.'), 'Hello there.', undefined)).toEqual({
      inputTokens: 7,
      outputTokens: 3,
    });
  });

  it('keeps what the provider told of the input', async () => {
    const reported = { inputTokens: 100, outputTokens: 1 };
    expect(await ownUsage(request('Say hello.'), 'Hello there.', reported)).toEqual({
      inputTokens: 100,
      outputTokens: 3,
    });
  });

  it('is not put off by the names of special tokens: nobody gets an answer for free by writing one', async () => {
    const usage = await ownUsage(request('<|endoftext|>'), '<|endoftext|>', undefined);
    expect(usage.inputTokens).toBeGreaterThan(4);
    expect(usage.outputTokens).toBeGreaterThan(0);
  });

  it('does not hold everybody up for one request', async () => {
    const startedMs = performance.now();
    await ownUsage(request('漢'.repeat(1_000_000)), 'a'.repeat(1_000_000), undefined);
    expect(performance.now() - startedMs).toBeLessThan(4_000);
  });
});
