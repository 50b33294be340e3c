import type { ChatRequest } from '@app/contracts';
import { expect, it } from 'vitest';
import { TextCount } from './count-text.js';

const saying = (content: string, rest: object = {}): ChatRequest => ({
  model: 'm',
  messages: [{ role: 'assistant', content, ...rest }],
});

it('counts a text once in each vocabulary', async () => {
  const count = new TextCount(saying('The quick brown fox.'));
  expect(count.tokens('gpt-5')).toBe(count.tokens('claude-opus-5'));
  expect(count.tokens('gpt-5')).not.toBe(count.tokens('gpt-4'));
  expect(await count.tokens('gpt-5')).toBe(5);
});

it('counts all that is bounded as text, or the count would be below what is sent', async () => {
  const text = 'The quick brown fox. '.repeat(100);
  const plain = (await new TextCount(saying('')).tokens('gpt-5')) ?? 0;
  for (const request of [
    saying('', { thinking_blocks: [{ type: 'thinking', thinking: text }] }),
    saying('', { reasoning_details: [{ text }] }),
    { ...saying(''), documents: [{ text }] },
  ])
    expect(((await new TextCount(request).tokens('gpt-5')) ?? 0) - plain).toBeGreaterThan(500);
});
