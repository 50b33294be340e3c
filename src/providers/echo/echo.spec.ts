import {
  GatewayError,
  ProviderError,
  type ChatChunk,
  type ChatRequest,
  type ChatStreamEvent,
  type ProviderCall,
} from '@app/contracts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EchoStrategy } from './echo.strategy.js';
import { tokensOf } from './echo.tokens.js';
import { ECHO } from './index.js';
import { sampleSchema } from './sample-schema.js';

const echo = new EchoStrategy(0);

function call(
  model: string,
  request: Partial<ChatRequest> = {},
  more: Partial<ProviderCall> = {},
): ProviderCall {
  return {
    request: {
      model: 'client-model',
      messages: [{ role: 'user', content: 'Hello there, world' }],
      ...request,
    },
    upstreamModel: model,
    clientModel: 'client-model',
    maxOutputTokens: undefined,
    requestId: 'req-1',
    signal: new AbortController().signal,
    dropUnsupported: false,
    ...more,
  };
}

async function events(of: ProviderCall, strategy = echo): Promise<ChatStreamEvent[]> {
  const { events: stream } = await strategy.stream(of);
  const seen: ChatStreamEvent[] = [];
  for await (const event of stream) seen.push(event);
  return seen;
}

interface Folded {
  content: string;
  reasoning: string;
  arguments: string;
  name: string;
  finish: unknown;
}

function fold(seen: ChatStreamEvent[], index = 0): Folded {
  const folded: Folded = { content: '', reasoning: '', arguments: '', name: '', finish: undefined };
  for (const { json } of seen) {
    const choice = (JSON.parse(json) as ChatChunk).choices.find((candidate) => candidate.index === index);
    if (!choice) continue;
    folded.content += choice.delta.content ?? '';
    folded.reasoning += choice.delta.reasoning_content ?? '';
    for (const { function: called } of choice.delta.tool_calls ?? []) {
      folded.name += called?.name ?? '';
      folded.arguments += called?.arguments ?? '';
    }
    folded.finish = choice.finish_reason ?? folded.finish;
  }
  return folded;
}

async function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => expect.unreachable('it should have failed'),
    (thrown: unknown) => thrown,
  );
}

const weather = {
  type: 'function',
  function: {
    name: 'weather',
    parameters: {
      type: 'object',
      properties: {
        city: { type: 'string' },
        unit: { enum: ['C', 'F'] },
        days: { type: 'integer', minimum: 2 },
      },
      required: ['city', 'unit'],
    },
  },
};

describe('an echo', () => {
  it('repeats the last words of the user, and counts', async () => {
    const { completion, usage } = await echo.complete(call('echo'));
    expect(completion).toMatchObject({
      object: 'chat.completion',
      model: 'client-model',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'Echo: Hello there, world' },
          finish_reason: 'stop',
        },
      ],
      usage: { prompt_tokens: 6, completion_tokens: 4, total_tokens: 10 },
    });
    expect(usage).toEqual({ inputTokens: 6, outputTokens: 4 });
  });

  it.each(['echo', 'echo-reasoning', 'echo-tools', 'echo-long'])(
    'streams what it answers whole: %s',
    async (model) => {
      const request = { tools: [weather], n: 2 };
      const { completion, usage } = await echo.complete(call(model, request));
      const seen = await events(call(model, request));
      for (const index of [0, 1]) {
        const { message, finish_reason } = completion.choices[index]!;
        expect(fold(seen, index)).toEqual({
          content: message.content ?? '',
          reasoning: message.reasoning_content ?? '',
          arguments: message.tool_calls?.[0]?.function.arguments ?? '',
          name: message.tool_calls?.[0]?.function.name ?? '',
          finish: finish_reason,
        });
      }
      expect(seen.filter((event) => event.finishReason)).toHaveLength(1);
      expect(seen.at(-1)).toMatchObject({ usageOnly: true, usage });
    },
  );

  it('reads no further than its context window', async () => {
    const refusal = (words: number) =>
      failure(echo.complete(call('echo', { messages: [{ role: 'user', content: 'ab '.repeat(words) }] })));
    const quickestMs = async (words: number) => {
      const times: number[] = [];
      for (let round = 0; round < 5; round++) {
        const begun = performance.now();
        expect(await refusal(words)).toMatchObject({ code: 'context_length_exceeded', param: 'messages' });
        times.push(performance.now() - begun);
      }
      return Math.min(...times);
    };
    expect((await quickestMs(3_000_000)) / (await quickestMs(200_000))).toBeLessThan(5);
  });

  it('streams word by word, with a pause before each', async () => {
    const { events: stream } = await new EchoStrategy(40).stream(call('echo'));
    const iterator = stream[Symbol.asyncIterator]();
    const begun = performance.now();
    expect((await iterator.next()).value?.outputText).toBe('');
    const opened = performance.now();
    expect((await iterator.next()).value?.outputText).toBe('Echo:');
    expect(opened - begun).toBeLessThan(35);
    expect(performance.now() - opened).toBeGreaterThanOrEqual(38);
  });

  it('ends at its limit, reasoning included', async () => {
    const { completion, usage } = await echo.complete(call('echo', {}, { maxOutputTokens: 2 }));
    expect(completion.choices[0]).toMatchObject({
      message: { content: 'Echo: Hello' },
      finish_reason: 'length',
    });
    expect(usage?.outputTokens).toBe(2);
    const thinking = await echo.complete(call('echo-reasoning', {}, { maxOutputTokens: 3 }));
    expect(thinking.completion.choices[0]).toMatchObject({
      message: { content: '', reasoning_content: 'The user said:' },
      finish_reason: 'length',
    });
    expect(thinking.usage).toMatchObject({ outputTokens: 3, reasoningOutputTokens: 3 });
  });

  it('stops before a stop sequence', async () => {
    const { completion } = await echo.complete(call('echo', { stop: ['world', ', '] }));
    expect(completion.choices[0]).toMatchObject({
      message: { content: 'Echo: Hello there' },
      finish_reason: 'stop',
    });
  });

  it('answers in JSON when it is asked to', async () => {
    const content = async (format: ChatRequest['response_format']) =>
      (await echo.complete(call('echo', { response_format: format }))).completion.choices[0]?.message.content;
    expect(await content({ type: 'json_object' })).toBe('{"echo":"Hello there, world"}');
    const schema = { type: 'object', properties: { said: { type: 'string' }, count: { type: 'number' } } };
    expect(await content({ type: 'json_schema', json_schema: { name: 'x', schema } })).toBe(
      '{"said":"Hello there, world","count":1}',
    );
    const withoutSchema = { type: 'json_schema' } as unknown as ChatRequest['response_format'];
    expect(await content(withoutSchema)).toBe('"Hello there, world"');
  });

  it('names parts that are no text', async () => {
    const messages: ChatRequest['messages'] = [
      {
        role: 'user',
        content: [
          { type: 'text', text: 'See' },
          { type: 'image_url', image_url: { url: 'https://example.org/a.png' } },
        ],
      },
    ];
    const { completion, usage } = await echo.complete(call('echo', { messages }));
    expect(completion.choices[0]?.message.content).toBe('Echo: See\n[image_url]');
    expect(usage?.inputTokens).toBe(89);
  });
});

describe('tools', () => {
  it('are called with arguments that fit, and not again after their answer', async () => {
    const { completion } = await echo.complete(call('echo-tools', { tools: [weather] }));
    const [toolCall] = completion.choices[0]!.message.tool_calls!;
    expect(completion.choices[0]!.finish_reason).toBe('tool_calls');
    expect([toolCall?.id, toolCall?.function.name]).toEqual(['call_echo_1', 'weather']);
    expect(JSON.parse(toolCall!.function.arguments)).toEqual({ city: 'Hello there, world', unit: 'C' });
    const messages: ChatRequest['messages'] = [
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content: null, tool_calls: [toolCall!] },
      { role: 'tool', tool_call_id: 'call_echo_1', content: '20 degrees' },
    ];
    const next = await echo.complete(call('echo-tools', { tools: [weather], messages }));
    expect(next.completion.choices[0]?.message).toMatchObject({ content: 'Echo: 20 degrees' });
  });

  it('are called by every model when it is forced to, and by none when it must not', async () => {
    const called = async (model: string, tool_choice: ChatRequest['tool_choice']) => {
      const second = { type: 'function', function: { name: 'now' } };
      const { completion } = await echo.complete(call(model, { tools: [weather, second], tool_choice }));
      return completion.choices[0]?.message.tool_calls?.[0]?.function;
    };
    expect((await called('echo', 'required'))?.name).toBe('weather');
    expect(await called('echo', { type: 'function', function: { name: 'now' } })).toEqual({
      name: 'now',
      arguments: '{}',
    });
    expect(await called('echo', 'auto')).toBeUndefined();
    expect(await called('echo-tools', 'none')).toBeUndefined();
  });
});

describe('a failing model', () => {
  it.each([
    ['echo-error-400', { status: 400, code: 'provider_rejected', processed: 'no', countsAsFailure: false }],
    ['echo-error-401', { status: 502, code: 'provider_auth_failed', tryElsewhere: true }],
    [
      'echo-error-429',
      { status: 429, code: 'provider_rate_limited', countsAsFailure: false, retryAfterMs: 1000 },
    ],
    ['echo-error-500', { status: 502, code: 'provider_bad_response', processed: 'unknown' }],
    ['echo-error-503', { status: 503, code: 'provider_overloaded', processed: 'no', countsAsFailure: true }],
    ['echo-error-529', { status: 503, code: 'provider_overloaded' }],
  ])('%s', async (model, expected) => {
    for (const attempt of [echo.complete(call(model)), echo.stream(call(model))]) {
      const error = await failure(attempt);
      expect(error).toBeInstanceOf(ProviderError);
      expect(error).toMatchObject(expected);
    }
  });

  it.each(['echo-error-midstream', 'echo-cut'])('%s says something first', async (model) => {
    const { events: stream } = await echo.stream(call(model));
    const seen: ChatStreamEvent[] = [];
    const error = await failure(
      (async () => {
        for await (const event of stream) seen.push(event);
      })(),
    );
    expect(fold(seen)).toMatchObject({ content: 'Echo: Hello there,', finish: undefined });
    expect(error).toMatchObject({ code: 'provider_bad_response', processed: 'unknown' });
    expect(await failure(echo.complete(call(model)))).toMatchObject({ code: 'provider_bad_response' });
  });

  it('breaks before its end, however short the answer is', async () => {
    const error = await failure(events(call('echo-cut', { messages: [{ role: 'user', content: '' }] })));
    expect(error).toMatchObject({ code: 'provider_bad_response' });
  });

  it('reports no usage', async () => {
    const { completion, usage } = await echo.complete(call('echo-no-usage'));
    expect([completion.usage, usage]).toEqual([undefined, undefined]);
    expect((await events(call('echo-no-usage'))).some((event) => event.usage ?? event.usageOnly)).toBe(false);
  });

  it('hangs until it is aborted', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    setTimeout(() => controller.abort(reason), 20);
    expect(await failure(echo.complete(call('echo-hang', {}, { signal: controller.signal })))).toBe(reason);
  });

  it('ends a stream with the reason of its signal', async () => {
    const controller = new AbortController();
    const reason = new Error('client gone');
    const { events: stream } = await new EchoStrategy(10_000).stream(
      call('echo', {}, { signal: controller.signal }),
    );
    const iterator = stream[Symbol.asyncIterator]();
    await iterator.next();
    setTimeout(() => controller.abort(reason), 10);
    expect(await failure(iterator.next())).toBe(reason);
    expect((await iterator.next()).done).toBe(true);
  });

  it('has a context window', async () => {
    const messages: ChatRequest['messages'] = [{ role: 'user', content: 'word '.repeat(140_000) }];
    expect(await failure(echo.complete(call('echo', { messages })))).toMatchObject({
      code: 'context_length_exceeded',
    });
  });

  it('refuses fields whose effect would be missed, or drops them', async () => {
    const error = await failure(echo.complete(call('echo', { logprobs: true })));
    expect(error).toBeInstanceOf(GatewayError);
    expect(error).toMatchObject({ code: 'unsupported_parameter', param: 'logprobs' });
    const { droppedParams } = await echo.complete(
      call('echo', { logprobs: true }, { dropUnsupported: true }),
    );
    expect(droppedParams).toEqual(['logprobs']);
  });
});

describe('the definition', () => {
  it('is configured without any variable, and prices each model', async () => {
    const faults: string[] = [];
    const settings = ECHO.settings({}, faults);
    expect(faults).toEqual([]);
    expect(settings?.options).toEqual({ delayMs: 10 });
    expect(Object.keys(ECHO.ownPrices ?? {})).toEqual(ECHO.models.map(({ id }) => id));
    expect(ECHO.settings({ ECHO_DELAY_MS: '0' }, faults)?.options).toEqual({ delayMs: 0 });
    for (const bad of ['-1', 'x', '1.5', '60001']) ECHO.settings({ ECHO_DELAY_MS: bad }, faults);
    expect(faults).toHaveLength(4);
    expect(faults.join()).not.toContain('60001 ');
  });
});

describe('tokens', () => {
  it('are the text, and never more than its bytes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const tokens = tokensOf(text);
        expect(tokens.join('')).toBe(text);
        expect(tokens.length).toBeLessThanOrEqual(Buffer.byteLength(text));
      }),
    );
  });
});

function nest(depth: number, wrap: (inner: object) => object): object {
  return depth === 0 ? { type: 'integer' } : wrap(nest(depth - 1, wrap));
}

function many<T>(make: (name: string) => T): T[] {
  return Array.from({ length: 20_000 }, (_, at) => make(`p${at}`));
}

describe('sampleSchema', () => {
  it.each([
    [{ type: 'string', maxLength: 2 }, 'te'],
    [{ type: 'string', minLength: 6 }, 'text..'],
    [{ type: 'string', format: 'date' }, '2026-01-31'],
    [{ type: ['string', 'null'] }, 'text'],
    [{ anyOf: [{ type: 'null' }, { type: 'string' }] }, null],
    [{ type: 'array', items: { type: 'boolean' }, minItems: 2 }, [true, true]],
    [{ $ref: '#/$defs/a', $defs: { a: { const: 7 } } }, 7],
    [{ allOf: [{ type: 'object' }, { properties: { a: { default: 'd' } } }] }, { a: 'd' }],
    [{}, 'text'],
    [undefined, 'text'],
  ])('%j', (schema, expected) => {
    expect(sampleSchema(schema, 'text')).toEqual(expected);
  });

  it.each([
    ['lists of lists', nest(8, (items) => ({ type: 'array', minItems: 1e9, items }))],
    ['a family tree', { properties: Object.fromEntries(many((name) => [name, { $ref: '#' }])) }],
    [
      'required names',
      { properties: Object.fromEntries(many((name) => [name, {}])), required: many(String) },
    ],
    ['parts', { allOf: many((name) => ({ title: name })).flatMap((part) => Array(20).fill(part)) }],
    ['long texts', { type: 'array', minItems: 1e9, items: { type: 'string' } }],
    ['names of Object’s', { type: 'string', format: 'constructor' }],
  ])('makes a bounded sample of %s, and soon', (_what, schema) => {
    const startedMs = performance.now();
    expect(JSON.stringify(sampleSchema(schema, 'x'.repeat(100_000))).length).toBeLessThan(2_000_000);
    expect(performance.now() - startedMs).toBeLessThan(1_000);
  });

  it('ends for a schema that contains itself', () => {
    const tree = {
      $ref: '#/$defs/t',
      $defs: { t: { type: 'object', properties: { t: { $ref: '#/$defs/t' } } } },
    };
    expect(JSON.stringify(sampleSchema(tree, 'x'))).toContain('null');
  });
});
