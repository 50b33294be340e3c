import { type ChatChunk, type ChatStreamEvent, ProviderError, type Usage } from '@app/contracts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toChatCompletion } from './anthropic.response.js';
import { AnthropicStreamTranslator, type StreamContext } from './anthropic.stream.js';
import type { WireAnswer, WireBlock, WireEvent } from './anthropic.wire.js';
import { foldChunks } from './fixtures/fold-chunks.js';
import { toEvents } from './fixtures/message-events.js';

const CONTEXT: StreamContext = {
  clientModel: 'asked "model"',
  created: 1_700_000_000,
  legacyFunctions: false,
  answersByTool: false,
  providerRequestId: 'req_1',
};

function eventsOf(events: readonly WireEvent[], context = CONTEXT): ChatStreamEvent[] {
  const stream = new AnthropicStreamTranslator(context);
  return events.flatMap((event) => stream.take(event));
}

function chunksOf(events: readonly WireEvent[], context = CONTEXT): ChatChunk[] {
  return eventsOf(events, context).map(({ json }) => JSON.parse(json) as ChatChunk);
}

function failureOf(events: readonly WireEvent[]): ProviderError {
  try {
    eventsOf(events);
  } catch (error) {
    if (error instanceof ProviderError) return error;
    throw error;
  }
  throw new Error('did not fail');
}

const start = (usage: unknown = { input_tokens: 10, output_tokens: 1 }): WireEvent => ({
  type: 'message_start',
  message: { id: 'msg_1', type: 'message', role: 'assistant', content: [], stop_reason: null, usage },
});
const open = (index: number, block: WireBlock): WireEvent => ({
  type: 'content_block_start',
  index,
  content_block: block,
});
const delta = (index: number, value: Record<string, unknown>): WireEvent => ({
  type: 'content_block_delta',
  index,
  delta: value,
});
const close = (index: number): WireEvent => ({ type: 'content_block_stop', index });
const end = (reason = 'end_turn', usage: unknown = { output_tokens: 9 }): WireEvent[] => [
  { type: 'message_delta', delta: { stop_reason: reason, stop_sequence: null }, usage },
  { type: 'message_stop' },
];
const text = { type: 'text', text: '' };

describe('AnthropicStreamTranslator', () => {
  it('takes each of many citations in the same time', () => {
    const quickestMs = (citations: number): number => {
      const given = delta(0, {
        type: 'citations_delta',
        citation: { type: 'char_location', cited_text: 'x' },
      });
      const times = Array.from({ length: 15 }, () => {
        const begun = performance.now();
        const events = [
          start(),
          open(0, text),
          ...Array<WireEvent>(citations).fill(given),
          close(0),
          ...end(),
        ];
        const fields = chunksOf(events).at(-2)?.choices[0]?.delta.provider_specific_fields;
        expect(fields?.anthropic_content).toMatchObject([{ citations: { length: citations } }]);
        return performance.now() - begun;
      });
      return Math.min(...times);
    };
    quickestMs(1_000);
    // Sixteen times as many: the square of it is 256, and the copies cost more than that.
    expect(quickestMs(32_000) / quickestMs(2_000)).toBeLessThan(200);
  });

  it('tells of how many turns its usage is the sum, by the blocks that came', () => {
    const called = { type: 'mcp_tool_use', id: 'm', name: 'x', server_name: 'y', input: {} };
    const events = eventsOf([start(), open(0, called), close(0), open(1, text), close(1), ...end()]);
    expect(events.at(-1)?.usage?.modelCalls).toBe(2);
  });

  it('gives the role first, the finish with the last delta, and usage alone at the end', () => {
    const events = eventsOf([
      start(),
      open(0, text),
      delta(0, { type: 'text_delta', text: 'é"' }),
      close(0),
      ...end(),
    ]);
    expect(
      events.map(({ outputText, usageOnly, finishReason }) => [outputText, usageOnly, finishReason]),
    ).toEqual([
      ['', false, undefined],
      ['é"', false, undefined],
      ['', false, 'stop'],
      ['', true, undefined],
    ]);
    const head = {
      id: 'msg_1',
      object: 'chat.completion.chunk',
      created: 1_700_000_000,
      model: 'asked "model"',
    };
    const choice = { index: 0, logprobs: null, finish_reason: null };
    expect(events.map(({ json }) => JSON.parse(json) as unknown)).toEqual([
      { ...head, choices: [{ ...choice, delta: { role: 'assistant', content: '' } }] },
      { ...head, choices: [{ ...choice, delta: { content: 'é"' } }] },
      {
        ...head,
        choices: [
          {
            ...choice,
            delta: { provider_specific_fields: { stop_reason: 'end_turn' } },
            finish_reason: 'stop',
          },
        ],
      },
      { ...head, choices: [], usage: { prompt_tokens: 10, completion_tokens: 9, total_tokens: 19 } },
    ]);
  });

  it('counts from the first event on, so that a cut stream can be charged', () => {
    const events = eventsOf([start(), open(0, text)]);
    expect(events[0]?.usage).toEqual({ inputTokens: 10, outputTokens: 1 } satisfies Usage);
  });

  it('counts what tools of Anthropic’s have brought, which is told at the end only: a client may leave before', () => {
    const result = (content: unknown) => ({ type: 'web_search_tool_result', tool_use_id: 's', content });
    const found = [{ type: 'web_search_result', encrypted_content: 'x'.repeat(4000) }];
    const page = (source: object) => ({ type: 'web_fetch_tool_result', content: { content: { source } } });
    const usageAfter = (...blocks: WireBlock[]) =>
      eventsOf([
        start(),
        ...blocks.flatMap((block, at) => [open(at, block), close(at)]),
        open(9, text),
        delta(9, { type: 'text_delta', text: 'So' }),
        delta(9, { type: 'text_delta', text: ' it' }),
      ]).map(({ usage }) => usage);
    const search = { type: 'server_tool_use', id: 's', name: 'web_search', input: {} };
    expect(usageAfter(search, result(found))).toEqual([
      { inputTokens: 10, outputTokens: 1 },
      { inputTokens: 1023, outputTokens: 1, modelCalls: 2, serverToolCalls: { web_search: 1 } },
      undefined,
    ]);
    const twice = usageAfter(search, result(found), search, result(found))[1];
    expect(twice).toMatchObject({ inputTokens: 2036, serverToolCalls: { web_search: 2 } });
    const failed = { type: 'web_search_tool_result_error', error_code: 'unavailable' };
    expect(usageAfter(search, result(failed))[1]).not.toHaveProperty('serverToolCalls');
    const ofServer = { type: 'mcp_tool_result', tool_use_id: 's', content: found };
    expect(usageAfter(search, ofServer)[1]).not.toHaveProperty('serverToolCalls');
    const pdf = { type: 'base64', media_type: 'application/pdf', data: 'x'.repeat(4000) };
    expect(usageAfter(search, page(pdf))[1]?.inputTokens).toBeLessThan(100);
    expect(
      usageAfter(search, page({ type: 'text', data: 'x'.repeat(4000) }))[1]?.inputTokens,
    ).toBeGreaterThan(1000);
    const whole = eventsOf([start(), open(0, search), open(1, result(found)), open(2, text), ...end()]);
    expect(whole.at(-1)?.usage).toEqual({ inputTokens: 10, outputTokens: 9, modelCalls: 2 });
  });

  it('reads each result once, and each signature when it is whole: there may be hundreds', () => {
    let read = 0;
    const page = { toJSON: () => ((read += 1), 'x'.repeat(398)) };
    const round = (at: number): WireEvent[] => [
      open(at, { type: 'web_search_tool_result', tool_use_id: 's', content: [page] }),
      close(at),
      open(at + 1, { type: 'thinking', thinking: '', signature: '' }),
      delta(at + 1, { type: 'signature_delta', signature: 'x'.repeat(270) }),
      delta(at + 1, { type: 'signature_delta', signature: 'x'.repeat(270) }),
      close(at + 1),
      open(at + 2, text),
      delta(at + 2, { type: 'text_delta', text: 'So' }),
      close(at + 2),
    ];
    const events = eventsOf([start(), ...round(0), ...round(3), ...round(6)]);
    expect(events.map(({ usage }) => [usage?.inputTokens, usage?.outputTokens])).toEqual([
      [10, 1],
      [10 + 100, 1 + 41],
      [10 + 201, 1 + 82],
      [10 + 301, 1 + 123],
    ]);
    expect(read).toBe(3);
  });

  it('counts thoughts whose text is kept back by their signature: they are billed, and told of at the end only', () => {
    const usageAfter = (thinking: string, signature: string) =>
      eventsOf([
        start(),
        open(0, { type: 'thinking', thinking: '', signature: '' }),
        ...(thinking === '' ? [] : [delta(0, { type: 'thinking_delta', thinking })]),
        delta(0, { type: 'signature_delta', signature }),
        close(0),
        open(1, text),
        delta(1, { type: 'text_delta', text: 'So' }),
      ]).at(-1)?.usage?.outputTokens;
    // Recorded: 540 characters for 47 tokens, and 364 for 9.
    expect(usageAfter('', 'x'.repeat(540))).toBe(1 + 41);
    expect(usageAfter('', 'x'.repeat(364))).toBe(1 + 8);
    expect(usageAfter('', 'x')).toBe(1);
    expect(usageAfter('Hm.', 'x'.repeat(540))).toBe(1);
  });

  it('replaces counts by later ones, and keeps those that are not repeated', () => {
    const first = {
      input_tokens: 10,
      cache_read_input_tokens: 5,
      output_tokens: 3,
      service_tier: 'standard',
    };
    const last = { input_tokens: 12, cache_read_input_tokens: null, output_tokens: 40 };
    const [usageChunk] = chunksOf([start(first), ...end('end_turn', last)]).slice(-1);
    expect(usageChunk).toMatchObject({
      service_tier: 'default',
      usage: { prompt_tokens: 17, completion_tokens: 40, prompt_tokens_details: { cached_tokens: 5 } },
    });
  });

  it('numbers parallel calls, and gives {} for a call without arguments', () => {
    const use = (id: string) => ({ type: 'tool_use', id, name: 'f', input: {} });
    const json = (part: string) => ({ type: 'input_json_delta', partial_json: part });
    const chunks = chunksOf([
      start(),
      open(0, text),
      close(0),
      open(1, use('a')),
      delta(1, json('')),
      delta(1, json('{"x"')),
      delta(1, json(':1}')),
      close(1),
      open(2, use('b')),
      delta(2, json('')),
      close(2),
      ...end('tool_use'),
    ]);
    const calls = chunks.flatMap(({ choices }) => choices[0]?.delta.tool_calls ?? []);
    expect(calls).toEqual([
      { index: 0, id: 'a', type: 'function', function: { name: 'f', arguments: '' } },
      { index: 0, function: { arguments: '{"x"' } },
      { index: 0, function: { arguments: ':1}' } },
      { index: 1, id: 'b', type: 'function', function: { name: 'f', arguments: '' } },
      { index: 1, function: { arguments: '{}' } },
    ]);
    expect(foldChunks(chunks).choices[0]?.finish_reason).toBe('tool_calls');
  });

  it('gives each delta to its own block, though another has begun', () => {
    const use = (id: string) => ({ type: 'tool_use', id, name: 'f', input: {} });
    const json = (index: number, partial_json: string) =>
      delta(index, { type: 'input_json_delta', partial_json });
    const events = [
      start(),
      open(0, use('a')),
      open(1, use('b')),
      json(0, '{"x":1}'),
      json(1, '{}'),
      close(0),
      close(1),
    ];
    const calls = foldChunks(chunksOf([...events, ...end('tool_use')])).choices[0]?.message.tool_calls;
    expect(calls?.map((call) => call.function.arguments)).toEqual(['{"x":1}', '{}']);
  });

  it('takes a text that came with the start of its block, and ends once', () => {
    const events = [start(), open(0, { type: 'text', text: 'Hi' }), close(0)];
    const counted = { type: 'message_delta', delta: {}, usage: { output_tokens: 3 } };
    const chunks = chunksOf([...events, counted, ...end().slice(0, 1), ...end()]);
    expect(foldChunks(chunks).choices[0]?.message.content).toBe('Hi');
    const finishes = chunks.flatMap(({ choices }) => choices.flatMap((choice) => choice.finish_reason ?? []));
    expect(finishes).toEqual(['stop']);
  });

  it('takes an input that came with the start of its block', () => {
    const block = { type: 'tool_use', id: 'a', name: 'f', input: { x: 1 } };
    const folded = foldChunks(chunksOf([start(), open(0, block), close(0), ...end('tool_use')]));
    expect(folded.choices[0]?.message.tool_calls?.[0]?.function.arguments).toBe('{"x":1}');
  });

  it('streams legacy calls in their dialect', () => {
    const events = eventsOf(
      [
        start(),
        open(0, { type: 'tool_use', id: 'a', name: 'f', input: {} }),
        delta(0, { type: 'input_json_delta', partial_json: '{"x":1}' }),
        close(0),
        ...end('tool_use'),
      ],
      { ...CONTEXT, legacyFunctions: true },
    );
    expect(events.map(({ outputText }) => outputText).join('')).toBe('{"x":1}');
    const chunks = events.map(({ json }) => JSON.parse(json) as ChatChunk);
    expect(foldChunks(chunks).choices[0]).toMatchObject({
      message: { content: null, function_call: { name: 'f', arguments: '{"x":1}' } },
      finish_reason: 'function_call',
    });
  });

  it('gives the thinking blocks whole, signatures included, in one delta: the official SDKs cannot join several', () => {
    const chunks = chunksOf([
      start(),
      open(0, { type: 'thinking', thinking: '', signature: '' }),
      delta(0, { type: 'thinking_delta', thinking: 'h' }),
      delta(0, { type: 'thinking_delta', thinking: 'm' }),
      delta(0, { type: 'signature_delta', signature: 'c2ln' }),
      close(0),
      open(1, { type: 'redacted_thinking', data: 'eA==' }),
      close(1),
      ...end(),
    ]);
    const deltas = chunks.flatMap(({ choices }) => choices.map(({ delta }) => delta));
    expect(deltas.filter((delta) => delta.provider_specific_fields)).toHaveLength(1);
    const { message } = foldChunks(chunks).choices[0] ?? {};
    expect(message?.reasoning_content).toBe('hm');
    expect(message?.provider_specific_fields?.thinking_blocks).toEqual([
      { type: 'thinking', thinking: 'hm', signature: 'c2ln' },
      { type: 'redacted_thinking', data: 'eA==' },
    ]);
  });

  it('skips pings and unknown events anywhere, and keeps unknown blocks and deltas', () => {
    const ping = { type: 'ping' };
    const chunks = chunksOf([
      ping,
      start(),
      ping,
      open(0, { type: 'compaction', content: null }),
      delta(0, { type: 'compaction_delta', content: 'a' }),
      ping,
      delta(0, { type: 'compaction_delta', content: 'b', mood: 1 }),
      close(0),
      { type: 'of_tomorrow' },
      ...end(),
    ]);
    expect(foldChunks(chunks).choices[0]?.message.provider_specific_fields?.anthropic_content).toEqual([
      { type: 'compaction', content: 'ab', mood: 1 },
    ]);
  });

  it('passes a refusal with Anthropic’s words', () => {
    const details = { type: 'refusal', category: null, explanation: 'Not this.' };
    const last = {
      type: 'message_delta',
      delta: { stop_reason: 'refusal', stop_details: details },
      usage: {},
    };
    const [choice] = foldChunks(chunksOf([start(), last])).choices;
    expect(choice).toMatchObject({ message: { refusal: 'Not this.' }, finish_reason: 'content_filter' });
    const silent = { ...last, delta: { stop_reason: 'refusal' } };
    expect(foldChunks(chunksOf([start(), silent])).choices[0]?.message.refusal).toBe(
      'Claude declined to answer.',
    );
  });

  describe('of a request that asked for its answer by a tool', () => {
    const byTool = { ...CONTEXT, answersByTool: true };
    const input = (json: string) => delta(0, { type: 'input_json_delta', partial_json: json });
    const called = open(0, { type: 'tool_use', id: 'toolu_1', name: 'answer', input: {} });

    it('gives the call’s input as it comes, digit for digit', () => {
      const events = eventsOf(
        [
          start(),
          called,
          input(''),
          input('{"id": 12345678901234567'),
          input('890}'),
          close(0),
          ...end('tool_use'),
        ],
        byTool,
      );
      const deltas = events.map(({ json }) => (JSON.parse(json) as ChatChunk).choices[0]?.delta);
      expect(deltas.map((each) => each?.content)).toEqual([
        '',
        '{"id": 12345678901234567',
        '890}',
        undefined,
        undefined,
      ]);
      expect(events.map(({ outputText }) => outputText).join('')).toBe('{"id": 12345678901234567890}');
      expect(JSON.stringify(deltas)).not.toContain('tool_calls');
      expect(events.at(-2)?.finishReason).toBe('stop');
      expect(events.at(-1)?.usage).toMatchObject({ inputTokens: 10, outputTokens: 9 });
    });

    it('keeps what is said before until it knows, and charges who leaves before', () => {
      const said = [start(), open(0, text), delta(0, { type: 'text_delta', text: 'Well.' }), close(0)];
      const kept = eventsOf(said, byTool);
      expect(kept.map(({ outputText }) => outputText).join('')).toBe('Well.');
      expect(
        foldChunks(kept.map(({ json }) => JSON.parse(json) as ChatChunk)).choices[0]?.message.content,
      ).toBe('');
      expect(foldChunks(chunksOf([...said, ...end('refusal')], byTool)).choices[0]).toMatchObject({
        message: { content: 'Well.', refusal: null },
        finish_reason: 'content_filter',
      });
      const all = eventsOf([...said, ...end()], byTool);
      expect(all.map(({ outputText }) => outputText).join('')).toBe('Well.');
    });

    it('shows neither what was said before the answer, nor a second answer', () => {
      const again = open(2, { type: 'tool_use', id: 'toolu_2', name: 'answer', input: {} });
      const piece = (index: number) =>
        delta(index, { type: 'input_json_delta', partial_json: `{"a":${index}}` });
      const said = [open(0, text), delta(0, { type: 'text_delta', text: 'Well.' }), close(0)];
      const first = [
        open(1, { type: 'tool_use', id: 'toolu_1', name: 'answer', input: {} }),
        piece(1),
        close(1),
      ];
      const all = eventsOf(
        [start(), ...said, ...first, again, piece(2), close(2), ...end('tool_use')],
        byTool,
      );
      const chunks = all.map(({ json }) => JSON.parse(json) as ChatChunk);
      expect(foldChunks(chunks).choices[0]?.message.content).toBe('{"a":1}');
      expect(all.map(({ outputText }) => outputText).join('')).toBe('Well.{"a":1}{"a":2}');
    });

    it('is cut by the limit as any text', () => {
      const cut = [start(), called, input('{"a": "b'), close(0), ...end('max_tokens')];
      expect(foldChunks(chunksOf(cut, byTool)).choices[0]).toMatchObject({
        message: { content: '{"a": "b' },
        finish_reason: 'length',
      });
    });
  });

  it('judges an error event, before and after output', () => {
    const error = {
      type: 'error',
      error: { type: 'overloaded_error', message: 'Overloaded', details: null },
    };
    expect(failureOf([error])).toMatchObject({ code: 'provider_overloaded', processed: 'no' });
    expect(failureOf([start(), error])).toMatchObject({
      code: 'provider_overloaded',
      processed: 'unknown',
      providerRequestId: 'req_1',
    });
  });

  it.each([
    ['content before the start', [open(0, text), delta(0, { type: 'text_delta', text: 'a' })]],
    ['a delta of no block', [start(), delta(0, { type: 'text_delta', text: 'a' })]],
    ['an end without a reason', [start(), { type: 'message_stop' }]],
  ])('does not accept %s', (_, events) => {
    expect(failureOf(events)).toMatchObject({ code: 'provider_bad_response', processed: 'unknown' });
  });
});

describe('a stream and a whole answer', () => {
  const words = fc.string({ unit: 'grapheme', maxLength: 12 });
  const json = fc.dictionary(words, fc.oneof(words, fc.integer(), fc.boolean(), fc.array(fc.integer())), {
    maxKeys: 3,
  });
  const id = fc.string({ minLength: 1, maxLength: 6 });
  const citation = fc.record({
    type: fc.constantFrom('page_location', 'x'),
    url: fc.option(id, { nil: undefined }),
    title: words,
  });
  const block: fc.Arbitrary<WireBlock> = fc.oneof(
    fc.record({ type: fc.constant('text'), text: words }),
    fc.record({ type: fc.constant('text'), text: words, citations: fc.array(citation, { maxLength: 2 }) }),
    fc.record({ type: fc.constant('thinking'), thinking: words, signature: id }),
    fc.record({ type: fc.constant('redacted_thinking'), data: id }),
    fc.record({ type: fc.constant('tool_use'), id, name: id, input: json }),
    fc.record({ type: fc.constant('tool_use'), id, name: id, input: json, caller: fc.record({ type: id }) }),
    fc.record({ type: fc.constantFrom('server_tool_use', 'mcp_tool_use'), id, name: id, input: json }),
    fc.record({
      type: fc.constantFrom('web_search_tool_result', 'hologram'),
      content: fc.array(json, { maxLength: 2 }),
    }),
  );
  const count = fc.oneof(fc.nat(), fc.constantFrom(-1, 1.5, 1e12, null));
  const answer = fc.record({
    type: fc.constant('message' as const),
    id,
    role: fc.constant('assistant'),
    model: id,
    content: fc.array(block, { maxLength: 5 }),
    stop_reason: fc.constantFrom(
      'end_turn',
      'max_tokens',
      'stop_sequence',
      'tool_use',
      'refusal',
      'pause_turn',
      'x',
    ),
    stop_sequence: fc.option(words),
    stop_details: fc.option(fc.record({ type: fc.constant('refusal'), explanation: words })),
    container: fc.option(fc.record({ id })),
    usage: fc.record({
      input_tokens: count,
      output_tokens: count,
      cache_read_input_tokens: count,
      cache_creation_input_tokens: count,
      service_tier: fc.constantFrom('standard', 'priority', null),
    }),
  });
  const telling = fc.record({
    pieces: fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 5 }),
    pings: fc.array(fc.nat(), { maxLength: 3 }),
  });

  it('say the same', () => {
    fc.assert(
      fc.property(
        answer,
        telling,
        fc.boolean(),
        fc.boolean(),
        (whole: WireAnswer, how, legacyFunctions, answersByTool) => {
          fc.pre(
            !legacyFunctions ||
              answersByTool ||
              whole.content.filter(({ type }) => type === 'tool_use').length <= 1,
          );
          const context = { ...CONTEXT, legacyFunctions, answersByTool };
          const events = eventsOf(toEvents(whole, how), context);
          const folded = foldChunks(events.map((event) => JSON.parse(event.json) as ChatChunk));
          const expected = toChatCompletion(whole, context);
          if (!expected.usage) delete expected.service_tier;
          expect(folded).toEqual(expected);
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('output text is what the deltas carried', () => {
    fc.assert(
      fc.property(answer, telling, (whole, how) => {
        const events = eventsOf(toEvents(whole, how));
        const { message } =
          foldChunks(events.map(({ json: chunk }) => JSON.parse(chunk) as ChatChunk)).choices[0] ?? {};
        const calls = message?.tool_calls ?? [];
        const told = (message?.content ?? '').length + (message?.reasoning_content ?? '').length;
        const said = events.reduce((length, { outputText }) => length + outputText.length, 0);
        expect(said).toBe(told + calls.reduce((length, call) => length + call.function.arguments.length, 0));
      }),
    );
  });
});
