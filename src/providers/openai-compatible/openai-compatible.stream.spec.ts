import { readFileSync } from 'node:fs';
import { ProviderError, type ChatChunk, type ChatStreamEvent } from '@app/contracts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ChatEventStream } from './chat-event-stream.js';
import { compatibleDialect } from './openai-compatible.dialect.js';
import { ChatStreamTranslator, type StreamContext } from './openai-compatible.stream.js';

const context: StreamContext = {
  clientModel: 'client-model',
  requestId: 'req-1',
  dialect: compatibleDialect('compatible'),
  usageAsked: false,
};
const openAiContext: StreamContext = {
  ...context,
  dialect: { ...context.dialect, stopsWithForcedTools: true },
};

function fixture(name: string): string {
  return readFileSync(new URL(`./fixtures/${name}.sse`, import.meta.url), 'utf8');
}

function stream(
  text: string,
  options: StreamContext = context,
  signal = new AbortController().signal,
): ChatEventStream {
  const bytes = new TextEncoder().encode(text);
  async function* body() {
    for (let at = 0; at < bytes.length; at += 37) yield bytes.subarray(at, at + 37);
  }
  return new ChatEventStream(body(), new ChatStreamTranslator(options), signal);
}

interface Read {
  events: ChatStreamEvent[];
  chunks: ChatChunk[];
  failure?: unknown;
}

async function read(text: string, options?: StreamContext): Promise<Read> {
  const found: Read = { events: [], chunks: [] };
  try {
    for await (const event of stream(text, options)) {
      found.events.push(event);
      found.chunks.push(JSON.parse(event.json) as ChatChunk);
    }
  } catch (error) {
    found.failure = error;
  }
  return found;
}

const contentOf = (chunks: ChatChunk[], index = 0) =>
  chunks
    .flatMap((chunk) => chunk.choices)
    .filter((choice) => choice.index === index)
    .map((choice) => choice.delta.content ?? '')
    .join('');

/** Put together as the official Python client does it: what comes twice is joined. */
const callsIn = (chunks: ChatChunk[]) => {
  const calls: { id: string; name: string; arguments: string }[] = [];
  for (const piece of chunks.flatMap((chunk) => chunk.choices[0]?.delta.tool_calls ?? [])) {
    const call = (calls[piece.index] ??= { id: '', name: '', arguments: '' });
    call.id += piece.id ?? '';
    call.name += piece.function?.name ?? '';
    call.arguments += piece.function?.arguments ?? '';
  }
  return calls;
};

const writtenIn = (events: ChatStreamEvent[]) => events.map((event) => event.outputText).join('');
const sse = (...events: unknown[]) => events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('');
const F = { name: 'f', arguments: '' };
const TEXT = 'Good morning, "Zoë"!\\n\n\t😀 bye';

describe('a text stream', () => {
  it('keeps text and everything else, with the client model', async () => {
    const { events, chunks, failure } = await read(fixture('text'));
    expect(failure).toBeUndefined();
    expect(contentOf(chunks)).toBe(TEXT);
    expect(writtenIn(events)).toBe(TEXT);
    expect(chunks[3]).toEqual({
      id: 'chatcmpl-9xTextStream',
      object: 'chat.completion.chunk',
      created: 1790000000,
      model: 'client-model',
      service_tier: 'default',
      system_fingerprint: 'fp_11aa22bb33',
      choices: [{ index: 0, delta: { content: ', "Zoë"' }, logprobs: null, finish_reason: null }],
      obfuscation: 'xx',
    });
    expect(events.map((event) => event.finishReason).filter(Boolean)).toEqual(['stop']);
  });

  it('shows usage once, as a chunk of its own', async () => {
    const { events, chunks } = await read(fixture('text'));
    expect(events.map((event) => event.usageOnly).lastIndexOf(true)).toBe(events.length - 1);
    expect(events.at(-1)?.usage).toEqual({
      inputTokens: 21,
      outputTokens: 7,
      cacheReadInputTokens: 16,
      audioInputTokens: 0,
      reasoningOutputTokens: 0,
      audioOutputTokens: 0,
    });
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: 21, total_tokens: 28 } });
    expect(chunks.filter((chunk) => 'usage' in chunk)).toHaveLength(1);
  });

  it('ends with the last count, also when an earlier one came in a chunk of its own', async () => {
    const usage = (output: number) => ({
      prompt_tokens: 5,
      completion_tokens: output,
      total_tokens: 5 + output,
    });
    const { chunks, events } = await read(
      sse(
        { id: 'c', choices: [], usage: usage(0) },
        { id: 'c', choices: [{ index: 0, delta: { content: 'x' } }], usage: usage(3) },
        { id: 'c', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], usage: usage(7) },
      ),
    );
    expect(events.at(-1)?.usageOnly).toBe(true);
    expect(chunks.at(-1)?.usage).toEqual(usage(7));
  });

  it('has `usage: null` in the other chunks for a client that asked for usage, as OpenAI does', async () => {
    const { chunks } = await read(fixture('text'), { ...context, usageAsked: true });
    expect(chunks.slice(0, -1).every((chunk) => chunk.usage === null)).toBe(true);
  });

  it('rewrites without parsing what it could have parsed: the result is the same', () => {
    const piece = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 12 }).map((content) => ({ content })),
      fc.string({ maxLength: 8 }).map((content) => ({ role: 'assistant', content })),
      fc.string({ unit: 'grapheme', maxLength: 8 }).map((refusal) => ({ refusal, content: null })),
      fc
        .string({ maxLength: 8 })
        .map((text) => ({ tool_calls: [{ index: 0, function: { arguments: text } }] })),
      fc
        .string({ maxLength: 8 })
        .map((text) => ({ tool_calls: [{ function: { arguments: text }, index: 2 }] })),
      fc.constant({}),
      fc.constant({ content: null }),
      // JSON has no negative zero.
      fc.json().map((odd) => ({ odd: JSON.parse(odd) as unknown })),
    );
    const frame = fc.record(
      { obfuscation: fc.string({ maxLength: 4 }), usage: fc.constant(null), service_tier: fc.string() },
      { requiredKeys: [] },
    );
    const called = [0, 1, 2].map((index) => ({ index, id: `c${index}`, type: 'function', function: F }));
    const calls = [{ tool_calls: called }, {}] as const;
    const escaped = (json: string) =>
      json.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(piece, frame), { minLength: 2, maxLength: 8 }),
        fc.boolean(),
        (pieces, ascii) => {
          const translator = new ChatStreamTranslator(openAiContext);
          const out: ChatStreamEvent[] = [];
          const chunks = [calls, ...pieces].map(([delta, rest]) => ({
            id: 'c1',
            object: 'chat.completion.chunk',
            created: 7,
            model: 'upstream',
            choices: [{ index: 0, delta, finish_reason: null }],
            ...rest,
          }));
          for (const chunk of chunks) {
            const json = JSON.stringify(chunk);
            translator.take(ascii ? escaped(json) : json, out);
          }
          const expected = chunks.map(({ usage: _usage, ...chunk }, position) => {
            const { role: _role, ...delta }: Record<string, unknown> = { ...chunk.choices[0]?.delta };
            const first = position === 0 ? { role: 'assistant' } : {};
            return {
              ...chunk,
              model: 'client-model',
              choices: [{ index: 0, delta: { ...first, ...delta }, finish_reason: null }],
            };
          });
          expect(out.map((event) => JSON.parse(event.json) as unknown)).toEqual(expected);
        },
      ),
      { numRuns: 150 },
    );
  });
});

describe('tool calls', () => {
  it('passes parallel calls on', async () => {
    const { events, chunks } = await read(fixture('parallel-tools'));
    const calls = chunks.flatMap((chunk) => chunk.choices).flatMap((choice) => choice.delta.tool_calls ?? []);
    expect(calls.filter((call) => call.id).map((call) => [call.index, call.id, call.function?.name])).toEqual(
      [
        [0, 'call_A1', 'add'],
        [1, 'call_B2', 'now'],
      ],
    );
    expect(writtenIn(events)).toBe('add{"a": 1, "b": "é"}now{}');
    expect(events.find((event) => event.finishReason)?.finishReason).toBe('tool_calls');
  });

  it('completes the calls of a server that leaves ids and indexes out', async () => {
    const { events, chunks, failure } = await read(fixture('gemini-compatible-tools'));
    expect(failure).toBeUndefined();
    const calls = chunks.flatMap((chunk) => chunk.choices).flatMap((choice) => choice.delta.tool_calls ?? []);
    expect(calls.map((call) => call.index)).toEqual([0, 1]);
    expect(new Set(calls.map((call) => call.id)).size).toBe(2);
    expect(calls.every((call) => /^call_[0-9a-f]{24}$/.test(call.id ?? ''))).toBe(true);
    expect(chunks.map((chunk) => chunk.choices[0]?.delta.role)).toEqual([
      'assistant',
      undefined,
      undefined,
      undefined,
    ]);
    expect(events.find((event) => event.finishReason)?.finishReason).toBe('tool_calls');
    expect(chunks[2]?.choices[0]).toMatchObject({
      finish_reason: 'tool_calls',
      native_finish_reason: 'stop',
    });
    expect(new Set(chunks.map((chunk) => chunk.id))).toEqual(new Set(['chatcmpl-req-1']));
  });

  it('tells calls apart that a server gives the same index (Ollama)', async () => {
    const called = (id: string, name: string, args: string) =>
      sse({
        id: 'c',
        choices: [
          {
            index: 0,
            delta: { tool_calls: [{ index: 0, id, type: 'function', function: { name, arguments: args } }] },
            finish_reason: null,
          },
        ],
      });
    const piece = (text: string) =>
      sse({
        id: 'c',
        choices: [
          {
            index: 0,
            delta: { tool_calls: [{ index: 0, function: { arguments: text } }] },
            finish_reason: null,
          },
        ],
      });
    const end = sse({ id: 'c', choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' }] });
    const { chunks, failure } = await read(
      called('call_1', 'f', '{"a":1}') +
        called('call_2', 'f', '') +
        piece('{"a"') +
        piece(':2') +
        piece('}') +
        called('call_3', 'g', '{}') +
        end,
    );
    expect(failure).toBeUndefined();
    expect(callsIn(chunks)).toEqual([
      { id: 'call_1', name: 'f', arguments: '{"a":1}' },
      { id: 'call_2', name: 'f', arguments: '{"a":2}' },
      { id: 'call_3', name: 'g', arguments: '{}' },
    ]);
  });

  describe('whatever a server does with index, id and name', () => {
    const streamed = (...deltas: object[][]) =>
      sse(...deltas.map((calls) => ({ id: 'c', choices: [{ index: 0, delta: { tool_calls: calls } }] })), {
        id: 'c',
        choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' }],
      });
    const f = (name: string | undefined, args?: unknown) => ({ function: { name, arguments: args } });
    const A = { id: 'call_1', name: 'f', arguments: '{"a":1}' };
    const B = { id: 'call_2', name: 'g', arguments: '{"b":2}' };

    it.each([
      [
        'counts other parts of the answer, too (gateways to Bedrock)',
        streamed(
          [{ index: 1, id: 'call_1', ...f('f', '') }],
          [{ index: 1, ...f(undefined, '{"a":1}') }],
          [{ index: 3, id: 'call_2', ...f('g', '') }],
          [{ index: 3, ...f(undefined, '{"b":2}') }],
        ),
        [A, B],
      ],
      [
        'repeats id and name, and has no index',
        streamed(
          [{ id: 'call_1', ...f('f', '{"a"') }],
          [{ id: 'call_1', ...f('f', ':1}') }],
          [{ id: 'call_2', ...f('g', '{"b":2}') }],
        ),
        [A, B],
      ],
      [
        'tells calls apart by their ids only',
        streamed(
          [
            { id: 'call_1', ...f('f', '') },
            { id: 'call_2', ...f('g', '') },
          ],
          [{ id: 'call_1', ...f(undefined, '{"a":1}') }],
          [{ id: 'call_2', ...f(undefined, '{"b":2}') }],
        ),
        [A, B],
      ],
      [
        'gives the name later (vLLM)',
        streamed(
          [{ index: 0, id: 'call_1', type: 'function', ...f('', '') }],
          [{ index: 0, ...f('f', '{"a"') }],
          [{ index: 0, ...f(undefined, ':1}') }],
        ),
        [A],
      ],
      [
        'gives the id alone at first',
        streamed(
          [
            { index: 0, id: 'call_1', type: 'function' },
            { index: 1, id: 'call_2' },
          ],
          [{ index: 0, ...f('f', '{"a":1}') }],
          [{ index: 1, type: 'function', ...f('g', '{"b"') }],
          [{ index: 1, ...f(undefined, ':2}') }],
        ),
        [A, B],
      ],
      [
        'gives the name behind some of the arguments, and has no index (SGLang)',
        streamed(
          [{ id: 'call_1', ...f(undefined, '{"a"') }],
          [f('f', ':1}')],
          [{ id: 'call_2', ...f('g', '{"b":2}') }],
        ),
        [A, B],
      ],
    ])('%s', async (_name, text, calls) => {
      const { events, chunks, failure } = await read(text);
      expect(failure).toBeUndefined();
      expect(callsIn(chunks)).toEqual(calls);
      const first = chunks
        .flatMap((chunk) => chunk.choices[0]?.delta.tool_calls ?? [])
        .filter(({ id }) => id);
      expect(first.map(({ function: called }) => called?.name)).toEqual(calls.map(({ name }) => name));
      expect(writtenIn(events)).toHaveLength(calls.map((call) => call.name + call.arguments).join('').length);
    });

    it('gives whole calls one index and no ids (Gemini’s endpoint)', async () => {
      const { chunks } = await read(
        streamed(
          [
            { index: 0, id: '', ...f('f', '{"a":1}') },
            { index: 0, id: '', ...f('f', '{"a":2}') },
          ],
          [{ index: 0, id: '', ...f('g', { b: 2 }) }],
        ),
      );
      const calls = callsIn(chunks);
      expect(calls.map((call) => [call.name, call.arguments])).toEqual([
        ['f', '{"a":1}'],
        ['f', '{"a":2}'],
        ['g', '{"b":2}'],
      ]);
      expect(new Set(calls.map(({ id }) => id)).size).toBe(3);
    });

    it('never names a call: it is told all the same', async () => {
      const { chunks } = await read(
        streamed([{ index: 0, id: 'call_1', ...f('', '{"a"') }], [{ index: 0, ...f('', ':1}') }]),
      );
      expect(callsIn(chunks)).toEqual([{ ...A, name: '' }]);
    });

    it.each([
      ['tool_calls', '{}'],
      ['stop', '{}'],
      ['length', ''],
      ['content_filter', ''],
    ])('gives a call no arguments (finish %s)', async (finish_reason, args) => {
      const piece = (delta: object) => ({
        id: 'c',
        choices: [{ index: 0, delta, finish_reason: null }],
      });
      const call = (index: number, name: string) =>
        piece({
          tool_calls: [{ index, id: `call_${index}`, type: 'function', function: { name, arguments: '' } }],
        });
      const part = (index: number, text: string) =>
        piece({ tool_calls: [{ index, function: { arguments: text } }] });
      const { events, chunks } = await read(
        sse(
          ...['a', 'b', 'c'].map((content) => piece({ content })),
          call(0, 'f'),
          call(1, 'g'),
          part(1, ''),
          part(1, '{"b"'),
          part(1, ':2}'),
          call(2, 'f'),
          call(3, 'g'),
          part(3, '{}'),
          { id: 'c', choices: [{ index: 0, delta: {}, finish_reason }] },
          { id: 'c', choices: [{ index: 0, delta: {}, finish_reason }] },
        ),
      );
      expect(callsIn(chunks).map((call) => [call.name, call.arguments])).toEqual([
        ['f', args],
        ['g', '{"b":2}'],
        ['f', args],
        ['g', '{}'],
      ]);
      expect(writtenIn(events)).toBe(`abcfg{"b":2}fg{}${args}${args}`);
    });

    it.each([
      [
        'says the finish with every chunk',
        'tool_calls',
        [{ index: 0, function: { arguments: '{"a":1}' } }],
        '{"a":1}',
      ],
      [
        'says the finish, then nothing of it, then the arguments',
        undefined,
        [{ index: 0, function: { arguments: '{"a":1}' } }],
        '{"a":1}',
      ],
      ['says the finish with every chunk, and no arguments', 'tool_calls', [], '{}'],
    ])('%s', async (_name, finish_reason, calls, args) => {
      const piece = (tool_calls: object[], more: object) => ({
        id: 'c',
        choices: [{ index: 0, delta: { tool_calls }, ...more }],
      });
      const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
      const begun = piece(
        [
          { index: 0, id: 'call_1', type: 'function', function: F },
          { index: 1, id: 'call_2', type: 'function', function: F },
        ],
        { finish_reason: 'tool_calls' },
      );
      const later = [
        piece([], { finish_reason }),
        piece(calls, { finish_reason }),
        { id: 'c', choices: [], usage },
      ];
      const { events, chunks, failure } = await read(sse(begun, ...later));
      expect(failure).toBeUndefined();
      expect(callsIn(chunks)).toEqual([
        { id: 'call_1', name: 'f', arguments: args },
        { id: 'call_2', name: 'f', arguments: '{}' },
      ]);
      expect(writtenIn(events)).toHaveLength(`ff${args}{}`.length);
      expect(events.at(-1)?.usageOnly).toBe(true);
    });

    it('says the finish of a call without arguments: clients parse them then', async () => {
      const { chunks } = await read(streamed([{ index: 0, id: 'call_1', type: 'function', function: F }]));
      const at = chunks.findIndex((chunk) => chunk.choices[0]?.finish_reason);
      expect(callsIn(chunks.slice(0, at + 1))).toEqual([{ id: 'call_1', name: 'f', arguments: '{}' }]);
    });

    it('says the finish of one choice before another goes on', async () => {
      const piece = (index: number, delta: object, finish_reason?: string) => ({
        id: 'c',
        choices: [{ index, delta, finish_reason }],
      });
      const call = { index: 0, id: 'call_1', type: 'function', function: F };
      const { chunks } = await read(
        sse(
          piece(0, { tool_calls: [call] }),
          piece(1, { content: 'a' }),
          piece(0, {}, 'tool_calls'),
          piece(1, { content: 'b' }),
          piece(1, {}, 'stop'),
        ),
      );
      const first = chunks.flatMap(({ choices }) => choices).filter(({ index }) => index === 0);
      expect(
        first.flatMap(({ delta }) => delta.tool_calls ?? []).map((said) => said.function?.arguments),
      ).toEqual(['', '{}']);
      expect(contentOf(chunks, 1)).toBe('ab');
    });

    it('runs its own tools', async () => {
      const search = { index: 0, id: 's', type: 'web_search', web_search: { input: 'x' } };
      const { chunks } = await read(streamed([search]));
      expect(chunks[0]?.choices[0]?.delta.tool_calls).toEqual([search]);
    });
  });

  it('has an end of calls', async () => {
    const calls = Array.from({ length: 2000 }, (_, at) => ({ id: `call_${at}`, function: { name: 'f' } }));
    const choice = { index: 0, delta: { tool_calls: calls }, finish_reason: 'tool_calls' };
    const { failure } = await read(sse({ id: 'c', choices: [choice] }));
    expect(failure).toMatchObject({ code: 'provider_bad_response' });
  });

  it('says id, type and name of a call once: clients join what is said again', async () => {
    const delta = (call: unknown) => ({ id: 'c', choices: [{ index: 0, delta: { tool_calls: [call] } }] });
    const { chunks } = await read(
      sse(
        delta({ index: 0, id: 'call_1', type: 'function', function: { name: 'f', arguments: '' } }),
        delta({ index: 0, id: 'call_1', type: 'function', function: { name: 'f', arguments: '{"a"' } }),
        // Older vLLM made up another id for each delta.
        delta({
          index: 0,
          id: 'chatcmpl-tool-2',
          type: 'function',
          function: { name: null, arguments: ':1}' },
        }),
        { id: 'c', choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' }] },
      ),
    );
    expect(callsIn(chunks)).toEqual([{ id: 'call_1', name: 'f', arguments: '{"a":1}' }]);
  });

  it('makes one usage chunk of usage on every chunk, reasoning that only the total knows of included', async () => {
    const { events, chunks } = await read(fixture('gemini-compatible-tools'));
    expect(events.map((event) => event.usage?.outputTokens)).toEqual([3, 20, 40, 40]);
    expect(events.map((event) => event.usageOnly)).toEqual([false, false, false, true]);
    expect(chunks.slice(0, 3).some((chunk) => chunk.usage)).toBe(false);
    expect(chunks[3]).toMatchObject({
      choices: [],
      usage: {
        prompt_tokens: 40,
        completion_tokens: 40,
        total_tokens: 80,
        completion_tokens_details: { reasoning_tokens: 25 },
      },
    });
  });

  it('keeps `stop` beside a forced tool where that is the provider’s own way', async () => {
    const forced = sse(
      {
        id: 'c',
        choices: [{ index: 0, delta: { tool_calls: [{ index: 0, id: 'call_1', function: { name: 'f' } }] } }],
      },
      { id: 'c', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] },
    );
    const reason = async (options: StreamContext) =>
      (await read(forced, options)).events.find((event) => event.finishReason)?.finishReason;
    expect(await reason(openAiContext)).toBe('stop');
    expect(await reason(context)).toBe('tool_calls');
  });
});

describe('other servers', () => {
  it('holds Azure’s prompt filter back until there is a choice to say it with', async () => {
    const { events, chunks, failure } = await read(fixture('azure'));
    expect(failure).toBeUndefined();
    expect(chunks[0]).toMatchObject({
      id: 'chatcmpl-AzureStream',
      created: 1790000001,
      prompt_filter_results: [{ prompt_index: 0 }],
      choices: [{ index: 0, delta: { role: 'assistant' } }],
    });
    expect(new Set(chunks.map((chunk) => chunk.id)).size).toBe(1);
    expect(writtenIn(events)).toBe('One twofind{"q":1}');
    expect(events.at(-1)).toMatchObject({ usageOnly: true, usage: { inputTokens: 21 } });
    expect(chunks.at(-1)).toMatchObject({ latency_checkpoint: { engine_ttft_ms: 4 } });
  });

  it('names reasoning alike, whatever the server calls it', async () => {
    const { events, chunks } = await read(fixture('reasoning'));
    const reasoning = chunks.map((chunk) => chunk.choices[0]?.delta.reasoning_content ?? '').join('');
    expect(reasoning).toBe('Two and "two".');
    expect(contentOf(chunks)).toBe('Four.');
    expect(chunks.some((chunk) => chunk.choices[0] && 'reasoning' in chunk.choices[0].delta)).toBe(false);
    expect(writtenIn(events)).toBe('Two and "two".Four.');
  });

  it('says reasoning once that comes by both names', async () => {
    const both = (delta: object, finish: string | null = null) => ({
      id: 'c',
      choices: [{ index: 0, delta, finish_reason: finish }],
    });
    const { chunks, events } = await read(
      sse(
        both({ reasoning: 'a', reasoning_content: 'a' }),
        both({ reasoning: 'b', reasoning_content: null }),
        both({ reasoning: 'c', reasoning_content: 'c' }, 'stop'),
      ),
    );
    expect(chunks.map((chunk) => chunk.choices[0]?.delta.reasoning_content)).toEqual(['a', 'b', 'c']);
    expect(writtenIn(events)).toBe('abc');
  });

  it('says the role once, follows a changing time, and needs no [DONE]', async () => {
    const { events, chunks, failure } = await read(fixture('role-everywhere'));
    expect(failure).toBeUndefined();
    expect(contentOf(chunks)).toBe('The sky is blue.');
    expect(chunks.filter((chunk) => chunk.choices[0]?.delta.role)).toHaveLength(1);
    expect(chunks.map((chunk) => chunk.created)).toEqual(
      [4, 4, 4, 5, 5, 6].map((second) => 1790000000 + second),
    );
    expect(events.some((event) => event.usage ?? event.usageOnly)).toBe(false);
  });

  it('reads usage that stands in the last choice (Moonshot), and beside Groq’s id', async () => {
    const block = { prompt_tokens: 9, completion_tokens: 3, total_tokens: 12, cached_tokens: 4 };
    const last = { index: 0, delta: {}, finish_reason: 'stop' };
    const begun = { id: 'c', choices: [{ index: 0, delta: { role: 'assistant', content: 'x' } }] };
    const endings = [
      { id: 'c', choices: [{ ...last, usage: block }] },
      { id: 'c', choices: [last], x_groq: { id: 'req_1', usage: block } },
    ];
    for (const ending of endings) {
      const { events, chunks } = await read(sse(begun, ending));
      const usage = { inputTokens: 9, outputTokens: 3, cacheReadInputTokens: 4 };
      expect(events.at(-1)).toMatchObject({ usageOnly: true, usage });
      expect(chunks.at(-1)).toMatchObject({ choices: [], usage: block });
    }
  });

  it('keeps what comes after the usage chunk', async () => {
    const { chunks, events } = await read(fixture('usage-not-last'));
    expect(events.map((event) => event.usageOnly)).toEqual([false, false, false, true, false, false]);
    expect(chunks[4]?.choices[0]?.delta.audio).toEqual({ expires_at: 1790003600 });
    expect(chunks[5]).toMatchObject({
      choices: [],
      moderation: { flagged: false, model: 'omni-moderation-latest' },
    });
  });

  it('takes a whole message where a delta should be, once', async () => {
    const { chunks, failure } = await read(
      sse({
        id: 'c',
        object: 'chat.completion',
        choices: [{ index: 0, message: { role: 'assistant', content: 'Hello' }, finish_reason: 'stop' }],
      }),
    );
    expect(failure).toBeUndefined();
    expect(chunks[0]?.choices[0]?.delta).toEqual({ role: 'assistant', content: 'Hello' });
    expect(chunks[0]?.choices[0]).not.toHaveProperty('message');
    // Perplexity tells the text so far beside each delta, and all of it at the end.
    const cumulative = await read(
      sse(
        { id: 'c', choices: [{ index: 0, delta: { content: 'Hel' }, message: { content: 'Hel' } }] },
        { id: 'c', choices: [{ index: 0, delta: { content: 'lo' }, message: { content: 'Hello' } }] },
        { id: 'c', choices: [{ index: 0, message: { content: 'Hello' }, finish_reason: 'stop' }] },
      ),
    );
    expect(contentOf(cumulative.chunks)).toBe('Hello');
  });

  it('takes a chunk that says nothing for no error', async () => {
    const { chunks, failure } = await read(
      sse(
        { id: 'c', object: 'keepalive', message: null, detail: '', error: null },
        { id: 'c', choices: [{ index: 0, delta: { content: 'x' }, finish_reason: 'stop' }] },
      ),
    );
    expect(failure).toBeUndefined();
    expect(contentOf(chunks)).toBe('x');
  });

  it('passes over empty events, and knows [DONE] with spaces around it', async () => {
    const { chunks, failure } = await read(
      `data:\n\nevent: ping\ndata: \n\n${sse({
        id: 'c',
        choices: [{ index: 0, delta: { content: 'x' }, finish_reason: 'stop' }],
      })}data:  [DONE] \n\n`,
    );
    expect(failure).toBeUndefined();
    expect(contentOf(chunks)).toBe('x');
  });

  it('takes a whole answer as bare JSON, and says nothing of pings', async () => {
    const whole = {
      id: 'c',
      created: 7,
      choices: [{ index: 0, message: { content: 'Hi' }, finish_reason: 'stop' }],
    };
    const { events, chunks, failure } = await read(JSON.stringify(whole));
    expect(failure).toBeUndefined();
    expect([contentOf(chunks), events.at(-1)?.finishReason]).toEqual(['Hi', 'stop']);
    const ping = 'event: ping\ndata: ping\n\nevent: ping\ndata: {"type":"ping"}\n\n';
    const pinged = await read(`${ping}${sse(whole)}${ping}`);
    expect(pinged).toEqual(await read(sse(whole)));
  });

  it('splits parts into reasoning and text', async () => {
    const { chunks } = await read(
      sse(
        {
          id: 'c',
          choices: [
            {
              index: 0,
              delta: { content: [{ type: 'thinking', thinking: [{ type: 'text', text: 'Hm' }] }] },
            },
          ],
        },
        {
          id: 'c',
          choices: [
            { index: 0, delta: { content: [{ type: 'text', text: 'Yes' }] }, finish_reason: 'model_length' },
          ],
        },
      ),
    );
    expect(chunks[0]?.choices[0]?.delta).toEqual({
      role: 'assistant',
      content: null,
      reasoning_content: 'Hm',
    });
    expect(chunks[1]?.choices[0]).toMatchObject({
      delta: { content: 'Yes' },
      finish_reason: 'length',
      native_finish_reason: 'model_length',
    });
  });

  it('keeps the parts that are neither beside the text, as they came, and tells them once', async () => {
    const reference = { type: 'reference', reference_ids: [0, 2] };
    const cited = { type: 'thinking', thinking: [{ type: 'text', text: 'Hm' }, reference] };
    const { chunks } = await read(
      sse(
        { id: 'c', choices: [{ index: 0, delta: { content: [cited] } }] },
        {
          id: 'c',
          choices: [{ index: 0, delta: { content: ['So', reference, { type: 'text', text: '.' }] } }],
        },
        { id: 'c', choices: [{ index: 0, delta: { content: [reference] }, finish_reason: 'stop' }] },
      ),
    );
    expect(chunks.map((chunk) => chunk.choices[0]?.delta)).toEqual([
      { role: 'assistant', content: null, reasoning_content: 'Hm' },
      { content: 'So.' },
      { content: null, provider_specific_fields: { content_parts: [cited, reference, reference] } },
    ]);
  });

  it('says the server’s own word for the finish where OpenAI has another', async () => {
    const end = async (choice: object) => {
      const chunk = { choices: [{ index: 0, delta: { content: 'x' }, ...choice }] };
      const { chunks } = await read(`data: ${JSON.stringify(chunk)}\n\ndata: [DONE]\n\n`);
      const { finish_reason: finish, native_finish_reason: native } = chunks[0]!.choices[0]!;
      return [finish, native];
    };
    expect(await end({ finish_reason: 'stop' })).toEqual(['stop', undefined]);
    expect(await end({ finish_reason: 'eos' })).toEqual(['stop', 'eos']);
    expect(await end({ finish_reason: 'eos', native_finish_reason: 'end' })).toEqual(['stop', 'end']);
  });

  it('tells the choices of n apart and ends with the last of them', async () => {
    const { chunks, events, failure } = await read(fixture('two-choices'));
    expect(failure).toBeUndefined();
    expect([contentOf(chunks, 0), contentOf(chunks, 1)]).toEqual(['abc', 'abc']);
    expect(events.filter((event) => event.finishReason).map((event) => event.finishReason)).toEqual([
      'length',
    ]);
  });
});

describe('a stream that failed', () => {
  it('gives what came before an error event, then the error, and never the zero usage behind it', async () => {
    const { chunks, events, failure } = await read(fixture('error-inside'));
    expect(contentOf(chunks)).toBe('Once upon');
    expect(events.some((event) => event.usage)).toBe(false);
    expect(failure).toBeInstanceOf(ProviderError);
    expect(failure).toMatchObject({
      code: 'provider_bad_response',
      processed: 'unknown',
      countsAsFailure: true,
      message: 'The server had an error processing your request.',
    });
  });

  it('judges an error before any output by what it says', async () => {
    const { failure } = await read(sse({ error: { message: 'Slow down', code: 429 } }));
    expect(failure).toMatchObject({ code: 'provider_rate_limited', processed: 'no', countsAsFailure: false });
    const named = await read('event: error\ndata: {"message":"busy","type":"overloaded_error"}\n\n');
    expect(named.failure).toMatchObject({ code: 'provider_overloaded', processed: 'no' });
  });

  it.each([
    [
      'a bare error object (vLLM, FastChat)',
      { object: 'error', message: "This model's maximum context length is 10 tokens.", code: 400 },
      { code: 'context_length_exceeded', processed: 'no' },
    ],
    [
      'a bare message',
      { code: 20015, message: 'length of prompt_tokens is not right', data: null },
      { code: 'provider_bad_response', message: 'length of prompt_tokens is not right' },
    ],
    ['a bare detail', { detail: 'no slot' }, { code: 'provider_bad_response', message: 'no slot' }],
    [
      'Groq’s own place',
      { id: 'c', choices: [], x_groq: { id: 'req_1', error: 'over capacity' } },
      { code: 'provider_bad_response', message: 'over capacity' },
    ],
    [
      'the choice (OpenRouter)',
      {
        id: 'c',
        choices: [{ index: 0, delta: {}, finish_reason: 'error', error: { code: 429, message: 'busy' } }],
      },
      { code: 'provider_rate_limited', message: 'busy', processed: 'no' },
    ],
  ])('finds the error in %s', async (_where, chunk, expected) => {
    const { failure, events } = await read(`${sse(chunk)}data: [DONE]\n\n`);
    expect(failure).toMatchObject(expected);
    expect(events).toEqual([]);
  });

  it.each(['text', 'two-choices', 'parallel-tools', 'azure', 'role-everywhere'])(
    'never looks complete when it was cut (%s)',
    async (name) => {
      const whole = fixture(name);
      const end = whole.lastIndexOf('"finish_reason":"');
      for (const at of [0, 1, Math.floor(end / 3), Math.floor(end / 2), end]) {
        const { failure, events } = await read(whole.slice(0, at));
        expect(failure).toMatchObject({
          code: 'provider_bad_response',
          processed: 'unknown',
          tryElsewhere: true,
        });
        expect(events.length).toBeLessThan(whole.split('\n\n').length);
      }
    },
  );

  it.each([
    [
      'as a field of its own (llama.cpp of 2025)',
      'error: {"code":400,"message":"no","type":"invalid_request_error"}\n\n',
    ],
    ['as bare JSON', '{"error":{"code":400,"message":"no","type":"invalid_request_error"}}'],
    [
      'as bare JSON of several lines',
      '{\n  "error": {\n    "code": 400,\n"message": "no",\n    "type": "invalid_request_error"\n  }\n}',
    ],
    // Each line that may end it has all of it parsed: thousands of them would stop everybody.
    ['behind what never ends', `{"a":"\n${'}\n'.repeat(16)}{"error":{"code":400,"message":"no"}}`],
  ])('is told %s', async (_name, error) => {
    for (const before of [
      '',
      ': hello\n\n',
      sse({ id: 'c', choices: [{ index: 0, delta: { content: 'x' } }] }),
      sse({ id: 'c', choices: [{ index: 0, delta: { content: 'x' } }] }).trimEnd() + '\n',
    ]) {
      const { chunks, failure } = await read(`${before}${error}\n\ndata: [DONE]\n\n`);
      expect(contentOf(chunks)).toBe(before.startsWith('data') ? 'x' : '');
      expect(failure).toMatchObject({ code: 'provider_rejected', message: 'no', countsAsFailure: false });
    }
    expect((await read(error.trimEnd())).failure).toMatchObject({ message: 'no' });
  });

  const chunkOf = (index: number, delta: object, finish_reason?: string) =>
    sse({ id: 'c', choices: [{ index, delta, finish_reason }] });
  const call = { index: 0, id: 'a', type: 'function', function: { name: 'f', arguments: '' } };
  const usage = { prompt_tokens: 3, completion_tokens: 1, total_tokens: 4 };

  it.each([
    ['text', chunkOf(0, { content: 'x' }), ['stop']],
    ['text in chunks that are not parsed', chunkOf(0, {}) + chunkOf(0, { content: 'x' }), ['stop']],
    ['two answers', chunkOf(0, { content: 'x' }) + chunkOf(1, { content: 'y' }), ['stop', 'stop']],
    ['a call', chunkOf(0, { tool_calls: [call] }), ['tool_calls']],
  ])('is whole by a [DONE] where the server never tells why it ends: %s', async (_name, told, reasons) => {
    const { failure, events, chunks } = await read(
      `${told}${sse({ id: 'c', choices: [], usage })}data: [DONE]\n\n`,
    );
    expect(failure).toBeUndefined();
    const [end, last] = chunks.slice(-2);
    expect(end?.choices.map((choice) => choice.finish_reason)).toEqual(reasons);
    expect(last).toMatchObject({ choices: [], usage });
    // Only a count that comes with the end, or behind it, is that of the whole answer.
    expect(events.slice(-2).map((event) => [event.finishReason, event.usage?.inputTokens])).toEqual([
      [reasons[0], undefined],
      [undefined, 3],
    ]);
  });

  it.each([
    ['has not come', chunkOf(0, { content: 'x' })],
    ['comes before a word of the answer', `${chunkOf(0, { content: '' })}data: [DONE]\n\n`],
    [
      'leaves one of two answers open',
      `${chunkOf(0, { content: 'x' }, 'stop')}${chunkOf(1, { content: 'y' })}data: [DONE]\n\n`,
    ],
  ])('is cut when its [DONE] %s', async (_name, told) => {
    const { failure } = await read(told);
    expect(failure).toMatchObject({ code: 'provider_bad_response' });
  });

  it.each([
    '{\n',
    '{\n}\n',
    '{\ndata: {"choices":[]}\n\n',
    'data: nonsense\n\n',
    'data: 7\n\n',
    'data: [DONE]\n\n',
    '',
    ': hello\n\n',
    '<html></html>',
  ])('takes %j for no answer', async (text) => {
    expect((await read(text)).failure).toMatchObject({ code: 'provider_bad_response' });
  });

  it('is a failure when the server says so by its finish reason', async () => {
    const { failure } = await read(
      sse({ id: 'c', choices: [{ index: 0, delta: {}, finish_reason: 'error' }] }),
    );
    expect(failure).toMatchObject({ code: 'provider_bad_response' });
  });

  it('ends with the reason of its signal, when it was aborted', async () => {
    const controller = new AbortController();
    const reason = new Error('client gone');
    async function* body() {
      yield new TextEncoder().encode(sse({ id: 'c', choices: [{ index: 0, delta: { content: 'x' } }] }));
      controller.abort(reason);
      throw new Error('socket closed');
    }
    const events = new ChatEventStream(body(), new ChatStreamTranslator(context), controller.signal);
    expect((await events.next()).done).toBe(false);
    await expect(events.next()).rejects.toBe(reason);
    expect((await events.next()).done).toBe(true);
  });
});

describe('its source', () => {
  function observed() {
    const state = { returned: 0, read: 0 };
    const pieces = [
      sse({ id: 'c', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }),
      'data: [DONE]\n\n',
    ];
    const body: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => ({
        next: () => {
          const piece = pieces[state.read];
          state.read += 1;
          return Promise.resolve(
            piece === undefined
              ? { done: true, value: undefined }
              : { done: false, value: new TextEncoder().encode(piece) },
          );
        },
        return: () => {
          state.returned += 1;
          return Promise.resolve({ done: true, value: undefined });
        },
      }),
    };
    return {
      state,
      events: new ChatEventStream(body, new ChatStreamTranslator(context), new AbortController().signal),
    };
  }

  it('is closed when the stream is left, also before it was begun', async () => {
    const { state, events } = observed();
    await events.return();
    await events.return();
    expect(state.returned).toBe(1);
  });

  it('is read to its end after [DONE], so that its connection can be used again', async () => {
    const { state, events } = observed();
    while (!(await events.next()).done);
    await new Promise((resolve) => setImmediate(resolve));
    expect(state).toEqual({ read: 3, returned: 0 });
  });
});
