import { describe, expect, it } from 'vitest';
import { type AnswerContext, toChatCompletion } from './anthropic.response.js';
import type { WireAnswer, WireBlock } from './anthropic.wire.js';

const CONTEXT: AnswerContext = {
  clientModel: 'asked',
  created: 1_700_000_000,
  legacyFunctions: false,
  answersByTool: false,
};

function answer(content: WireBlock[], fields: Record<string, unknown> = {}): WireAnswer {
  const usage = { input_tokens: 1, output_tokens: 2 };
  return {
    type: 'message',
    id: 'msg_1',
    role: 'assistant',
    model: 'm',
    content,
    stop_reason: 'end_turn',
    usage,
    ...fields,
  };
}

function choiceOf(content: WireBlock[], fields?: Record<string, unknown>, context = CONTEXT) {
  const [choice] = toChatCompletion(answer(content, fields), context).choices;
  if (!choice) throw new Error('no choice');
  return choice;
}

const text = (value: string) => ({ type: 'text', text: value });
const call = { type: 'tool_use', id: 'toolu_1', name: 'f', input: { a: [1] } };

describe('toChatCompletion', () => {
  it('has OpenAI’s form and the client’s model', () => {
    expect(toChatCompletion(answer([text('ab')], { stop_sequence: null }), CONTEXT)).toEqual({
      id: 'msg_1',
      object: 'chat.completion',
      created: 1_700_000_000,
      model: 'asked',
      choices: [
        {
          index: 0,
          message: {
            role: 'assistant',
            content: 'ab',
            refusal: null,
            provider_specific_fields: { stop_reason: 'end_turn' },
          },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
      usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 },
    });
  });

  it('gives calls with their arguments as text, and null for no text', () => {
    const direct = { ...call, id: 'toolu_2', input: null, caller: { type: 'direct' } };
    const { message, finish_reason: finish } = choiceOf([call, direct], { stop_reason: 'tool_use' });
    expect(finish).toBe('tool_calls');
    expect(message.content).toBeNull();
    expect(message.tool_calls).toEqual([
      { id: 'toolu_1', type: 'function', function: { name: 'f', arguments: '{"a":[1]}' } },
      {
        id: 'toolu_2',
        type: 'function',
        function: { name: 'f', arguments: '{}' },
        provider_specific_fields: { caller: { type: 'direct' } },
      },
    ]);
    expect(message.provider_specific_fields).toEqual({ stop_reason: 'tool_use' });
  });

  describe('of a request that asked for its answer by a tool', () => {
    const byTool = { ...CONTEXT, answersByTool: true };
    const input = { type: 'tool_use', id: 'toolu_1', name: 'answer', input: { a: [1], b: 'é' } };

    it('is the call’s input as text, with nothing of the call', () => {
      for (const legacyFunctions of [false, true]) {
        expect(choiceOf([input], { stop_reason: 'tool_use' }, { ...byTool, legacyFunctions })).toEqual({
          index: 0,
          message: {
            role: 'assistant',
            content: '{"a":[1],"b":"é"}',
            refusal: null,
            provider_specific_fields: { stop_reason: 'tool_use' },
          },
          logprobs: null,
          finish_reason: 'stop',
        });
      }
    });

    it('leaves out what was said or called beside it', () => {
      const cited = { ...text('Well.'), citations: [{ url: 'https://example.org', title: 'T' }] };
      const { message } = choiceOf([cited, input, call, text('Done.')], { stop_reason: 'tool_use' }, byTool);
      expect(message.content).toBe('{"a":[1],"b":"é"}');
      expect(message).not.toHaveProperty('tool_calls');
      expect(message).not.toHaveProperty('annotations');
    });

    it.each([
      ['max_tokens', [input], '{"a":[1],"b":"é"}', 'length'],
      ['max_tokens', [{ ...input, input: {} }], '{}', 'length'],
      ['end_turn', [text('In words.')], 'In words.', 'stop'],
      ['refusal', [text('I cannot')], 'I cannot', 'content_filter'],
      ['refusal', [], '', 'content_filter'],
    ])('ends as ever: %s', (reason, content, shown, finish) => {
      const choice = choiceOf(content, { stop_reason: reason }, byTool);
      expect(choice).toMatchObject({ message: { content: shown }, finish_reason: finish });
    });
  });

  it('answers a legacy request in its dialect', () => {
    const { message, finish_reason: finish } = choiceOf(
      [call],
      { stop_reason: 'tool_use' },
      { ...CONTEXT, legacyFunctions: true },
    );
    expect(message).toMatchObject({ content: null, function_call: { name: 'f', arguments: '{"a":[1]}' } });
    expect(message).not.toHaveProperty('tool_calls');
    expect(finish).toBe('function_call');
  });

  it('gives thinking as text, and its blocks as they are', () => {
    const thinking = { type: 'thinking', thinking: 'hm', signature: 's' };
    const silent = { type: 'thinking', thinking: '', signature: 't' };
    const redacted = { type: 'redacted_thinking', data: 'd' };
    const { message } = choiceOf([thinking, silent, redacted, text('a')]);
    expect(message.reasoning_content).toBe('hm');
    expect(message.provider_specific_fields).toEqual({
      stop_reason: 'end_turn',
      thinking_blocks: [thinking, silent, redacted],
    });
    expect(choiceOf([silent, text('a')]).message).not.toHaveProperty('reasoning_content');
  });

  it.each([
    ['another order', [text('a'), { type: 'thinking', thinking: 'x', signature: 's' }, text('b')]],
    ['text behind a call', [call, text('b')]],
    ['a server tool', [{ type: 'server_tool_use', id: 's', name: 'web_search', input: {} }, text('b')]],
    ['citations', [{ type: 'text', text: 'b', citations: [{ type: 'page_location' }] }]],
    ['an unknown block', [{ type: 'hologram', x: 1 }]],
    ['an unknown field', [{ ...call, mood: 'good' }]],
  ])('keeps the raw blocks for %s', (_, content) => {
    expect(choiceOf(content).message.provider_specific_fields?.anthropic_content).toEqual(content);
  });

  it('keeps the blocks of two texts apart: thoughts behind them are bound to what stood before', () => {
    const { message } = choiceOf([text('a'), text('b')]);
    expect(message.content).toBe('ab');
    expect(message.provider_specific_fields?.anthropic_content).toEqual([text('a'), text('b')]);
    expect(choiceOf([text('ab')]).message.provider_specific_fields).not.toHaveProperty('anthropic_content');
  });

  it('gives web citations as annotations over their block’s text', () => {
    const cited = {
      type: 'text',
      text: 'cited',
      citations: [
        { type: 'web_search_result_location', url: 'https://example.org', title: 'T' },
        { type: 'char_location', document_index: 0 },
        { type: 'search_result_location', source: 'https://example.net/a', title: 'S' },
        { type: 'search_result_location', source: 'kb://1', title: 'S' },
      ],
    };
    expect(choiceOf([text('ab '), cited]).message.annotations).toEqual([
      {
        type: 'url_citation',
        url_citation: { start_index: 3, end_index: 8, title: 'T', url: 'https://example.org' },
      },
      {
        type: 'url_citation',
        url_citation: { start_index: 3, end_index: 8, title: 'S', url: 'https://example.net/a' },
      },
    ]);
  });

  it.each([
    ['end_turn', 'stop'],
    ['stop_sequence', 'stop'],
    ['pause_turn', 'length'],
    ['compaction', 'length'],
    ['max_tokens', 'length'],
    ['model_context_window_exceeded', 'length'],
    ['refusal', 'content_filter'],
    ['of_tomorrow', 'stop'],
    [null, 'stop'],
    ['tool_use', 'stop'],
  ])('maps the stop reason %s of a text to %s', (reason, finish) => {
    expect(choiceOf([text('a')], { stop_reason: reason }).finish_reason).toBe(finish);
  });

  it('keeps what else the message says', () => {
    const details = { type: 'refusal', category: 'bio', explanation: 'Not this.' };
    const fields = {
      stop_reason: 'refusal',
      stop_details: details,
      container: { id: 'c' },
      context_management: null,
    };
    const { message } = choiceOf([], fields);
    expect(message).toMatchObject({ content: '', refusal: 'Not this.' });
    expect(message.provider_specific_fields).toEqual({
      stop_reason: 'refusal',
      stop_details: details,
      container: { id: 'c' },
    });
  });

  it('has a refusal also where Anthropic has no words for it and the model said nothing', () => {
    const refused = { stop_reason: 'refusal', stop_details: null };
    expect(choiceOf([], refused).message.refusal).toBe('Claude declined to answer.');
    const category = { type: 'refusal', category: 'bio', explanation: null };
    expect(choiceOf([], { ...refused, stop_details: category }).message.refusal).toBe(
      'Claude declined to answer (bio).',
    );
    expect(choiceOf([text('Hello..')], refused).message).toMatchObject({ content: 'Hello..', refusal: null });
  });

  it('says which tier served it, in OpenAI’s word', () => {
    const usage = { input_tokens: 1, output_tokens: 1, service_tier: 'standard' };
    expect(toChatCompletion(answer([], { usage }), CONTEXT).service_tier).toBe('default');
  });

  it('lists the side calls, which the totals leave out', () => {
    const own = { type: 'message', input_tokens: 1, output_tokens: 1 };
    const compaction = { type: 'compaction', input_tokens: 9, output_tokens: 3 };
    const shown = (iterations: object[]) =>
      toChatCompletion(answer([], { usage: { input_tokens: 1, output_tokens: 1, iterations } }), CONTEXT)
        .usage;
    expect(shown([own, compaction])).toMatchObject({ total_tokens: 2, iterations: [own, compaction] });
    expect(shown([own])).not.toHaveProperty('iterations');
  });

  it('has no usage when none was counted', () => {
    expect(toChatCompletion(answer([], { usage: undefined }), CONTEXT)).not.toHaveProperty('usage');
  });
});
