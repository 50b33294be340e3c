import { describe, expect, it } from 'vitest';
import { toUsage } from './google.usage.js';

describe('toUsage', () => {
  it('counts thoughts into the output, and what tools put into the prompt into the input', () => {
    const usage = toUsage({
      promptTokenCount: 75,
      candidatesTokenCount: 414,
      totalTokenCount: 1179,
      toolUsePromptTokenCount: 573,
      thoughtsTokenCount: 117,
    });
    expect(usage).toEqual({ inputTokens: 648, outputTokens: 531, reasoningOutputTokens: 117 });
  });

  it('tells kinds of tokens apart where they are reported', () => {
    const usage = toUsage({
      promptTokenCount: 500,
      cachedContentTokenCount: 200,
      candidatesTokenCount: 30,
      promptTokensDetails: [
        { modality: 'TEXT', tokenCount: 100 },
        { modality: 'AUDIO', tokenCount: 144 },
        { modality: 'IMAGE', tokenCount: 256 },
      ],
      toolUsePromptTokensDetails: [{ modality: 'AUDIO', tokenCount: 0 }],
      cacheTokensDetails: [{ modality: 'AUDIO', tokenCount: 50 }],
      candidatesTokensDetails: [
        { modality: 'TEXT', tokenCount: 4 },
        { modality: 'IMAGE', tokenCount: 26 },
      ],
    });
    expect(usage).toEqual({
      inputTokens: 500,
      cacheReadInputTokens: 200,
      audioInputTokens: 144,
      imageInputTokens: 256,
      cacheReadAudioInputTokens: 50,
      outputTokens: 30,
      imageOutputTokens: 26,
    });
  });

  it.each([
    ['nothing', undefined],
    ['a block without counts', { trafficType: 'ON_DEMAND' }],
    ['an answer whose prompt was not counted', { candidatesTokenCount: 18, thoughtsTokenCount: 58 }],
    ['counts that are none', { promptTokenCount: '12', totalTokenCount: -1 }],
  ])('reports no usage for %s', (_, metadata) => {
    expect(toUsage(metadata)).toBeUndefined();
  });

  it('counts thoughts once where the candidates’ count has them already, which the total tells', () => {
    const counts = { promptTokenCount: 10, candidatesTokenCount: 30, thoughtsTokenCount: 20 };
    const once = { inputTokens: 10, outputTokens: 30, reasoningOutputTokens: 20 };
    expect(toUsage({ ...counts, totalTokenCount: 40 })).toEqual(once);
    expect(toUsage({ ...counts, totalTokenCount: 60 })).toEqual({ ...once, outputTokens: 50 });
    expect(toUsage(counts)).toEqual({ ...once, outputTokens: 50 });
    const searched = { ...counts, toolUsePromptTokenCount: 5 };
    expect(toUsage({ ...searched, totalTokenCount: 45 })).toEqual({ ...once, inputTokens: 15 });
  });

  it('takes a count that is left out from the total, else as zero', () => {
    expect(toUsage({ promptTokenCount: 50, totalTokenCount: 50 })).toEqual({
      inputTokens: 50,
      outputTokens: 0,
    });
    expect(toUsage({ promptTokenCount: 50 })).toEqual({ inputTokens: 50, outputTokens: 0 });
    expect(toUsage({ promptTokenCount: 50, totalTokenCount: 57 })).toEqual({
      inputTokens: 50,
      outputTokens: 7,
    });
    expect(toUsage({ candidatesTokenCount: 7, totalTokenCount: 57 })).toEqual({
      inputTokens: 50,
      outputTokens: 7,
    });
  });

  it('never reports a part as larger than its whole', () => {
    const usage = toUsage({
      promptTokenCount: 10,
      cachedContentTokenCount: 12,
      promptTokensDetails: [{ modality: 'AUDIO', tokenCount: 99 }],
      cacheTokensDetails: [{ modality: 'AUDIO', tokenCount: 99 }],
      candidatesTokenCount: 1,
      candidatesTokensDetails: [{ modality: 'AUDIO', tokenCount: 5 }],
    });
    expect(usage).toEqual({
      inputTokens: 10,
      cacheReadInputTokens: 10,
      audioInputTokens: 10,
      cacheReadAudioInputTokens: 10,
      outputTokens: 1,
      audioOutputTokens: 1,
    });
  });

  it('counts what Google Search was asked', () => {
    expect(toUsage({ promptTokenCount: 1 }, 2)?.serverToolCalls).toEqual({ web_search: 2 });
    expect(toUsage({ promptTokenCount: 1 }, 0)?.serverToolCalls).toBeUndefined();
  });
});
