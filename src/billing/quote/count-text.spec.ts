import type { ChatRequest } from '@app/contracts';
import { expect, it } from 'vitest';
import { countText } from './count-text.js';

const saying = (content: string, rest: object = {}): ChatRequest => ({
  model: 'm',
  messages: [{ role: 'assistant', content, ...rest }],
});

it('counts all that is bounded as text, or the count would be below what is sent', async () => {
  const text = 'The quick brown fox. '.repeat(100);
  const plain = (await countText(saying(''), 'gpt-5')) ?? 0;
  for (const request of [
    saying('', { thinking_blocks: [{ type: 'thinking', thinking: text }] }),
    saying('', { reasoning_details: [{ text }] }),
    { ...saying(''), documents: [{ text }] },
  ])
    expect(((await countText(request, 'gpt-5')) ?? 0) - plain).toBeGreaterThan(500);
});
