import { readFileSync } from 'node:fs';
import { ProviderError, type ChatRequest, type ChatStreamEvent, type ProviderCall } from '@app/contracts';
import { describe, expect, it } from 'vitest';
import { OPENAI_DIALECT } from '../openai/openai.dialect.js';
import { concede } from './concessions.js';
import { compatibleDialect } from './openai-compatible.dialect.js';
import { bodyError } from './openai-compatible.errors.js';
import { finishReason } from './openai-compatible.finish.js';
import { toWireRequest } from './openai-compatible.request.js';
import { toChatCompletion } from './openai-compatible.response.js';
import { ChatStreamTranslator } from './openai-compatible.stream.js';
import { completionUsage, readUsage } from './openai-compatible.usage.js';

const dialect = compatibleDialect('compatible');
const context = { clientModel: 'client-model', requestId: 'req-1', dialect };

function fixture(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`./fixtures/${name}.json`, import.meta.url), 'utf8'));
}

function call(request: Partial<ChatRequest>, maxOutputTokens?: number): ProviderCall {
  return {
    request: { model: 'client-model', messages: [{ role: 'user', content: 'Hi' }], ...request },
    upstreamModel: 'upstream-model',
    clientModel: 'client-model',
    maxOutputTokens,
    requestId: 'req-1',
    signal: new AbortController().signal,
    dropUnsupported: false,
  };
}

describe('the request', () => {
  it('passes everything on, unknown fields too, with the upstream model', () => {
    const request = {
      temperature: 0.3,
      seed: 7,
      logit_bias: { '5': -100 },
      response_format: { type: 'json_object' as const },
      something_new: { deep: [1] },
    };
    expect(toWireRequest(call(request), dialect, false)).toEqual({
      ...request,
      model: 'upstream-model',
      messages: [{ role: 'user', content: 'Hi' }],
    });
  });

  it('never changes the client’s request', () => {
    const given = call(
      { messages: [{ role: 'assistant', content: 'x', provider_specific_fields: { a: 1 } }] },
      5,
    );
    const before = structuredClone(given.request);
    toWireRequest(given, dialect, true);
    expect(given.request).toEqual(before);
  });

  it.each([
    [{ max_tokens: 50 }, 40, { max_tokens: 40 }],
    // Ollama, DeepSeek and others pass over the newer name without a word: the limit would be lost.
    [{ max_completion_tokens: 50 }, 40, { max_tokens: 40 }],
    [{ max_tokens: 50, max_completion_tokens: 60 }, 60, { max_tokens: 60 }],
    [{}, 40, { max_tokens: 40 }],
    [{ max_tokens: null }, undefined, {}],
  ])('writes the output limit into one field: %j, %j', (asked, limit, expected) => {
    const body = toWireRequest(call(asked, limit), dialect, false);
    const { max_tokens, max_completion_tokens } = body;
    const set = Object.entries({ max_tokens, max_completion_tokens }).filter(
      ([, value]) => value !== undefined,
    );
    expect(Object.fromEntries(set)).toEqual(expected);
  });

  it('asks for usage in every stream, beside what the client asked for', () => {
    const asked = call({
      stream: true,
      stream_options: { include_usage: false, include_obfuscation: false },
    });
    expect(toWireRequest(asked, dialect, true)).toMatchObject({
      stream: true,
      stream_options: { include_usage: true, include_obfuscation: false },
    });
    expect(toWireRequest(asked, dialect, false)).not.toHaveProperty('stream_options');
    for (const request of [{}, asked.request]) {
      expect(toWireRequest(call(request), { ...dialect, streamUsage: false }, true)).not.toHaveProperty(
        'stream_options',
      );
    }
  });

  it('says system where a server knows no developer, as chat templates pass over roles that they do not know', () => {
    const messages: ChatRequest['messages'] = [
      { role: 'developer', content: 'Be brief.', name: 'd' },
      { role: 'user', content: 'Hi' },
    ];
    expect(toWireRequest(call({ messages }), dialect, false).messages).toEqual([
      { role: 'system', content: 'Be brief.', name: 'd' },
      { role: 'user', content: 'Hi' },
    ]);
    const knowing = { ...dialect, takesDeveloperRole: true };
    expect(toWireRequest(call({ messages }), knowing, false).messages).toEqual(messages);
  });

  it('says the empty text of a tool that answered nothing: Go’s clients leave it out, and DeepSeek wants it', () => {
    const answer = { role: 'tool' as const, tool_call_id: 'call_1' };
    const messages: ChatRequest['messages'] = [answer, { ...answer, content: null }];
    expect(toWireRequest(call({ messages }), dialect, false).messages).toEqual([
      { ...answer, content: '' },
      { ...answer, content: '' },
    ]);
    expect(messages[0]).toEqual(answer);
  });

  it('leaves out what OpenAI’s answers and SDKs say of nothing: servers exist that know no such fields (Mistral, Groq)', () => {
    const tool_calls = [
      { id: 'call_1', type: 'function' as const, function: { name: 'f', arguments: '{}' } },
    ];
    const said = { role: 'assistant' as const, content: null };
    const nothing = { refusal: null, annotations: [], audio: null, function_call: null, parsed: null };
    const messages: ChatRequest['messages'] = [
      { ...said, ...nothing, tool_calls },
      { ...said, content: 'x', ...nothing, tool_calls: null, reasoning_content: '' },
      { ...said, refusal: 'No', annotations: [{ type: 'url_citation' }], x: null },
    ];
    expect(toWireRequest(call({ messages }), dialect, false).messages).toEqual([
      { ...said, tool_calls },
      { ...said, content: 'x', reasoning_content: '' },
      messages[2],
    ]);
    const openAi = { ...dialect, takesEmptyFields: true };
    expect(toWireRequest(call({ messages }), openAi, false).messages).toEqual(messages);
  });

  it('keeps the gateway’s own fields to itself', () => {
    const messages: ChatRequest['messages'] = [
      { role: 'user', content: 'Hi' },
      {
        role: 'assistant',
        content: null,
        reasoning_content: 'Hm',
        provider_specific_fields: { thinking_blocks: [] },
        extra_content: { google: {} },
        tool_calls: [
          {
            id: 'call_1',
            type: 'function',
            function: { name: 'f', arguments: '{}' },
            provider_specific_fields: { thought_signature: 's' },
            extra_content: { google: {} },
          },
        ],
      },
    ];
    const calls = [
      {
        id: 'call_1',
        type: 'function',
        function: { name: 'f', arguments: '{}' },
        extra_content: { google: {} },
      },
    ];
    const extra_content = { google: {} };
    expect(toWireRequest(call({ messages }), dialect, false).messages).toEqual([
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: null, reasoning_content: 'Hm', extra_content, tool_calls: calls },
    ]);
    const strict = { ...dialect, takesReasoningContent: false };
    expect(toWireRequest(call({ messages }), strict, false).messages).toEqual([
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: null, extra_content, tool_calls: calls },
    ]);
  });

  it('keeps Gemini’s signatures from OpenAI, wherever they are', () => {
    const extra_content = { google: { thought_signature: 's' } };
    const tool = { id: 'call_1', type: 'function' as const, function: { name: 'f', arguments: '{}' } };
    const messages: ChatRequest['messages'] = [
      { role: 'assistant', content: 'a', extra_content },
      { role: 'assistant', content: null, tool_calls: [tool, { ...tool, id: 'call_2', extra_content }] },
    ];
    expect(toWireRequest(call({ messages }), OPENAI_DIALECT, false).messages).toEqual([
      { role: 'assistant', content: 'a' },
      { role: 'assistant', content: null, tool_calls: [tool, { ...tool, id: 'call_2' }] },
    ]);
  });
});

describe('the answer', () => {
  it('keeps everything, with the client’s model', () => {
    const wire = fixture('whole') as object;
    expect(toChatCompletion(structuredClone(wire), context)).toEqual({ ...wire, model: 'client-model' });
  });

  it('completes an answer of Azure’s filter, which has no message', () => {
    const completion = toChatCompletion(fixture('azure-filtered'), context);
    expect(completion.choices[0]).toMatchObject({
      finish_reason: 'content_filter',
      message: { role: 'assistant', content: null },
      content_filter_results: { violence: { filtered: true } },
    });
  });

  it.each([
    ['PROHIBITED_CONTENT', 'content_filter'],
    ['IMAGE_RECITATION', 'content_filter'],
    ['MODEL_ARMOR', 'content_filter'],
    ['content_filter: RECITATION', 'content_filter'],
    ['function_call_filter: MALFORMED_FUNCTION_CALL', 'content_filter'],
    ['MALFORMED_FUNCTION_CALL', 'content_filter'],
    ['UNEXPECTED_TOOL_CALL', 'content_filter'],
    ['MAX_TOKENS', 'length'],
  ])('says Gemini’s %s in OpenAI’s words, and keeps it', (word, finish_reason) => {
    const choices = [{ index: 0, message: { content: 'x' }, finish_reason: word }];
    expect(toChatCompletion({ choices }, context).choices[0]).toMatchObject({
      finish_reason,
      native_finish_reason: word,
    });
  });

  it('completes tool calls and totals of Gemini’s compatible endpoint', () => {
    const completion = toChatCompletion(fixture('gemini-compatible-tools'), context);
    expect(completion).toMatchObject({
      id: 'chatcmpl-req-1',
      choices: [
        {
          finish_reason: 'tool_calls',
          native_finish_reason: 'stop',
          message: {
            content: null,
            extra_content: { google: { thought_signature: 'c2ln' } },
            tool_calls: [
              { id: expect.stringMatching(/^call_/), type: 'function', function: { arguments: '{}' } },
            ],
          },
        },
      ],
      usage: { completion_tokens: 74, completion_tokens_details: { reasoning_tokens: 62 } },
    });
  });

  it('fills in what a bare server leaves out', () => {
    const bare = { choices: [{ message: { content: 'x', reasoning: 'why', tool_calls: [] } }] };
    expect(toChatCompletion(bare, context)).toEqual({
      id: 'chatcmpl-req-1',
      object: 'chat.completion',
      created: expect.any(Number),
      model: 'client-model',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'x', reasoning_content: 'why' },
          finish_reason: 'stop',
        },
      ],
    });
  });

  it.each([undefined, 'text', [], {}, { choices: [] }, { choices: null }])(
    'takes %j for no answer',
    (body) => {
      expect(() => toChatCompletion(body, context)).toThrow(ProviderError);
    },
  );

  it('throws the error of a 200', () => {
    expect(() => toChatCompletion({ error: { message: 'overloaded', code: 503 } }, context)).toThrow(
      'overloaded',
    );
  });
});

describe('the finish reason', () => {
  it.each([
    ['stop', 'stop'],
    ['eos', 'stop'],
    ['', 'stop'],
    [null, 'stop'],
    ['MAX_TOKENS', 'length'],
    ['max_output_tokens', 'length'],
    ['model_context_window_exceeded', 'length'],
    ['sensitive', 'content_filter'],
    ['PROHIBITED_CONTENT', 'content_filter'],
    ['guardrail_intervened', 'content_filter'],
    ['content_filtered', 'content_filter'],
    ['token_limit', 'length'],
    ['time_limit', 'length'],
  ])('%j is %j', (word, expected) => {
    const body = { choices: [{ message: { content: 'x' }, finish_reason: word }] };
    expect(toChatCompletion(body, context).choices[0]?.finish_reason).toBe(expected);
  });

  it.each([
    'safety refusal recitation sensitive blocklist prohibited_content spii language model_armor image_safety',
    'image_prohibited_content image_recitation function_call_filter malformed_function_call unexpected_tool_call',
    'too_many_tool_calls malformed_response',
  ])('is that of a filter: %s', (words) => {
    for (const word of words.split(' ')) expect(finishReason(word, true, dialect)).toBe('content_filter');
  });

  it('says calls for what the model called, unless it was cut or withheld', () => {
    expect(['stop', 'tool_use', 'tool_calls'].map((word) => finishReason(word, true, dialect))).toEqual(
      Array(3).fill('tool_calls'),
    );
    expect(['model_length', 'max_tokens', 'length'].map((word) => finishReason(word, true, dialect))).toEqual(
      Array(3).fill('length'),
    );
    expect(finishReason('function_call', false, dialect)).toBe('function_call');
  });

  it.each(['error', 'abort', 'canceled', 'cancelled', 'network_error', 'insufficient_system_resource'])(
    '%j is a failure',
    (word) => {
      const body = { choices: [{ message: { content: 'x' }, finish_reason: word }] };
      expect(() => toChatCompletion(body, context)).toThrow(ProviderError);
    },
  );
});

describe('parts of a text', () => {
  it('are told apart, thinking as a text too', () => {
    const content = [
      { type: 'thinking', thinking: 'Hm' },
      { type: 'text', text: 'Ho' },
    ];
    const body = { choices: [{ message: { content }, finish_reason: 'stop' }] };
    expect(toChatCompletion(body, context).choices[0]?.message).toMatchObject({
      content: 'Ho',
      reasoning_content: 'Hm',
    });
  });
});

describe('a text that is none', () => {
  it.each([
    ['JSON that was asked for (Cloudflare)', { a: 1 }, { content: '{"a":1}' }],
    [
      'reasoning with its signature among the parts (Databricks)',
      [
        { type: 'reasoning', summary: [{ type: 'summary_text', text: 'Hm', signature: 's' }] },
        { type: 'text', text: 'Ho' },
      ],
      {
        content: 'Ho',
        reasoning_content: 'Hm',
        provider_specific_fields: { content_parts: [{ type: 'reasoning', summary: [{ signature: 's' }] }] },
      },
    ],
  ])('is told as one, whole and streamed: %s', (_name, content, told) => {
    const whole = { choices: [{ message: { content }, finish_reason: 'stop' }] };
    expect(toChatCompletion(structuredClone(whole), context).choices[0]?.message).toMatchObject(told);
    const out: ChatStreamEvent[] = [];
    const chunk = { choices: [{ index: 0, delta: { content }, finish_reason: 'stop' }] };
    new ChatStreamTranslator({ ...context, usageAsked: false }).take(JSON.stringify(chunk), out);
    expect(JSON.parse(out[0]!.json)).toMatchObject({ choices: [{ delta: told }] });
  });
});

describe('the error of a 200', () => {
  it.each([
    [
      { object: 'error', message: 'maximum context length is 10', code: 400 },
      { code: 'context_length_exceeded' },
    ],
    [{ code: 401, message: 'bad token' }, { code: 'provider_auth_failed' }],
    [{ detail: 'no slot' }, { code: 'provider_bad_response', message: 'no slot' }],
    [
      { id: 'c', choices: [{ index: 0, finish_reason: 'error', error: { code: 429, message: 'busy' } }] },
      { code: 'provider_rate_limited', message: 'busy' },
    ],
  ])('is found in %j', (body, expected) => {
    let thrown: unknown;
    try {
      toChatCompletion(body, context);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject(expected);
  });
});

describe('usage', () => {
  it('reads all that is reported, and only that', () => {
    expect(readUsage((fixture('whole') as { usage: unknown }).usage)).toEqual({
      inputTokens: 30,
      outputTokens: 20,
      cacheReadInputTokens: 10,
      cacheCreationInputTokens: 3,
      audioInputTokens: 5,
      imageInputTokens: 2,
      reasoningOutputTokens: 8,
      audioOutputTokens: 6,
    });
    expect(readUsage({ prompt_tokens: 3, completion_tokens: 0, total_tokens: 3 })).toEqual({
      inputTokens: 3,
      outputTokens: 0,
    });
  });

  it.each([
    undefined,
    null,
    {},
    [],
    { prompt_tokens: 3 },
    { prompt_tokens: -1, completion_tokens: 1 },
    { prompt_tokens: 1.5, completion_tokens: 1 },
    { prompt_tokens: '3', completion_tokens: 1 },
    { prompt_tokens: 3, completion_tokens: 2_000_000_000 },
  ])('takes %j as not reported', (block) => {
    expect(readUsage(block)).toBeUndefined();
    expect(completionUsage(block, readUsage(block))).toBeUndefined();
  });

  it('leaves out parts that cannot be', () => {
    const block = {
      prompt_tokens: 10,
      completion_tokens: 5,
      prompt_tokens_details: { cached_tokens: 11, audio_tokens: -1 },
      completion_tokens_details: { reasoning_tokens: 0.5 },
    };
    expect(readUsage(block)).toEqual({ inputTokens: 10, outputTokens: 5 });
    const all = { ...block, prompt_tokens_details: { cached_tokens: 10 } };
    expect(readUsage(all)).toMatchObject({ cacheReadInputTokens: 10 });
  });

  it('does not believe a total that is less than its parts', () => {
    const block = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 12 };
    expect(readUsage(block)).toEqual({ inputTokens: 10, outputTokens: 5 });
    expect(completionUsage(block, readUsage(block))).toEqual({ ...block, total_tokens: 15 });
    expect(readUsage({ prompt_tokens: 10, total_tokens: 9 })).toBeUndefined();
  });

  it('counts output that only the total knows of', () => {
    const xai = {
      prompt_tokens: 10,
      completion_tokens: 5,
      total_tokens: 115,
      completion_tokens_details: { reasoning_tokens: 100 },
    };
    expect(readUsage(xai)).toEqual({ inputTokens: 10, outputTokens: 105, reasoningOutputTokens: 100 });
    expect(completionUsage(xai, readUsage(xai))).toMatchObject({ completion_tokens: 105, total_tokens: 115 });
    expect(readUsage({ prompt_tokens: 10, total_tokens: 15 })).toEqual({ inputTokens: 10, outputTokens: 5 });
  });

  it('finds cache writes and reasoning where other servers count them', () => {
    const totals = { prompt_tokens: 2000, completion_tokens: 50, total_tokens: 2050 };
    const written = (details: Record<string, unknown>) =>
      readUsage({ ...totals, prompt_tokens_details: details })?.cacheCreationInputTokens;
    expect(written({ cached_tokens: 0, cache_write_tokens: 1494 })).toBe(1494);
    const long = (written: number, tokens: number) => {
      const details = { cache_write_tokens: written, cache_write_tokens_details: { ttl_12h_tokens: tokens } };
      return readUsage({ ...totals, prompt_tokens_details: details })?.cacheCreation1hInputTokens;
    };
    expect([long(9, 4), long(9, 0), long(4, 9)]).toEqual([4, 0, undefined]);
    expect(written({ cached_tokens: 0, cache_creation_tokens: 1494 })).toBe(1494); // LiteLLM
    expect(written({ cached_tokens: 0, cache_creation_input_tokens: 1494 })).toBe(1494); // DashScope
    expect(written({ cached_tokens: 0 })).toBeUndefined();
    // SGLang and Perplexity count it beside the totals; what is more than its whole is no part of it.
    expect(readUsage({ ...totals, reasoning_tokens: 20 })).toMatchObject({
      outputTokens: 50,
      reasoningOutputTokens: 20,
    });
    expect(readUsage({ ...totals, reasoning_tokens: 60 })).not.toHaveProperty('reasoningOutputTokens');
  });

  it('finds cached tokens where other servers count them', () => {
    const deepSeek = {
      prompt_tokens: 10,
      completion_tokens: 1,
      prompt_cache_hit_tokens: 8,
      prompt_cache_miss_tokens: 2,
    };
    expect(readUsage(deepSeek)?.cacheReadInputTokens).toBe(8);
    const totals = { prompt_tokens: 10, completion_tokens: 1 };
    expect(readUsage({ ...totals, num_cached_tokens: 7 })?.cacheReadInputTokens).toBe(7);
    const mistral = { ...totals, prompt_token_details: { cached_tokens: 6 } };
    expect(readUsage(mistral)?.cacheReadInputTokens).toBe(6);
  });
});

describe('an error in a body', () => {
  it.each([
    [
      { message: 'no', code: 401 },
      { code: 'provider_auth_failed', tryElsewhere: true },
    ],
    [{ message: 'no', type: 'requests' }, { code: 'provider_rate_limited' }],
    [
      { message: 'no', type: 'insufficient_quota', code: 'insufficient_quota' },
      { code: 'provider_rate_limited' },
    ],
    [
      { message: 'no', type: 'BadRequestError' },
      { code: 'provider_rejected', countsAsFailure: false },
    ],
    [
      { message: 'no', type: 'server_error' },
      { code: 'provider_bad_response', processed: 'unknown' },
    ],
    ['just text', { code: 'provider_bad_response', message: 'just text' }],
    [{ message: 'maximum context length is 8192', code: 400 }, { code: 'context_length_exceeded' }],
  ])('%j', (error, expected) => {
    expect(bodyError(error, false)).toMatchObject(expected);
  });

  it.each([
    [
      '{"error":{"message":"tool name is too odd","code":400}}',
      'Provider returned error: tool name is too odd',
    ],
    ['{"type":"error","error":{"type":"x","message":"bad image"}}', 'Provider returned error: bad image'],
    ['plain words\n', 'Provider returned error: plain words'],
    [{ message: 'bad image' }, 'Provider returned error: bad image'],
    ['<html>502</html>', 'Provider returned error'],
    ['', 'Provider returned error'],
    [undefined, 'Provider returned error'],
    ['{"message":"key sk-12345678 is bad"}', 'Provider returned error: key [hidden] is bad'],
  ])('tells what the provider behind OpenRouter said: %j', (raw, message) => {
    const error = { message: 'Provider returned error', code: 400, metadata: { raw, provider_name: 'P' } };
    expect(bodyError(error, false)).toMatchObject({ code: 'provider_rejected', message });
  });

  it('takes from what the provider behind said that the prompt was too long, and nothing of the account', () => {
    const behind = (raw: string, code: number) =>
      bodyError({ message: 'Provider returned error', code, metadata: { raw } }, false).code;
    expect(behind('{"error":{"message":"prompt is too long: 9 tokens > 8 maximum"}}', 400)).toBe(
      'context_length_exceeded',
    );
    expect(behind('your account is suspended', 400)).toBe('provider_rejected');
    expect(behind('invalid api key', 400)).toBe('provider_rejected');
  });

  it('was perhaps worked on when something of the answer has been seen', () => {
    expect(bodyError({ message: 'no', code: 503 }, false).processed).toBe('no');
    expect(bodyError({ message: 'no', code: 503 }, true).processed).toBe('unknown');
  });
});

describe('concede', () => {
  const refusal = (param: string | null, message: string, unsupported = true) =>
    new ProviderError(unsupported ? 'unsupported_parameter' : 'provider_rejected', message, {
      param,
      processed: 'no',
      countsAsFailure: false,
      tryElsewhere: false,
      upstreamStatus: 400,
    });

  it('renames the output limit, in both directions', () => {
    const newer = concede(
      { max_tokens: 5, model: 'm' },
      refusal('max_tokens', "'max_tokens' is not supported"),
      false,
    );
    expect(newer).toMatchObject({ body: { max_completion_tokens: 5, model: 'm' } });
    const older = concede(
      { max_completion_tokens: 5 },
      refusal(null, '[{"type":"extra_forbidden","loc":["body","max_completion_tokens"]}]', false),
      false,
    );
    expect(older?.body).toEqual({ max_tokens: 5 });
  });

  it('does not rename a limit that is merely too large', () => {
    expect(
      concede({ max_tokens: 5 }, refusal('max_tokens', 'max_tokens is too large: 5.', false), true),
    ).toBeUndefined();
  });

  it('leaves stream_options out for a server that does not know them', () => {
    const body = { stream: true, stream_options: { include_usage: true } };
    const message = 'Extra inputs are not permitted: stream_options';
    expect(concede(body, refusal(null, message, false), false)?.body).toEqual({ stream: true });
  });

  it('sees through a param that is no field', () => {
    const body = { stream: true, stream_options: { include_usage: true } };
    const message = "body.stream_options: property 'body.stream_options' is unsupported";
    expect(concede(body, refusal('validation_error', message, false), false)?.body).toEqual({ stream: true });
    const unexpected = "Additional properties are not allowed ('stream_options' was unexpected)";
    expect(concede(body, refusal(null, unexpected, false), false)?.body).toEqual({ stream: true });
  });

  it.each([
    [
      null,
      "'messages.1' : for 'role:assistant' the following must be satisfied[('messages.1' : property 'reasoning_content' is unsupported)]",
    ],
    [
      'messages.1.assistant.reasoning_content',
      '[{"type":"extra_forbidden","loc":["body","messages",1,"assistant","reasoning_content"]}]',
    ],
  ])('takes earlier reasoning out for a server that does not know it (%s)', (param, message) => {
    const messages = [
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Ho', reasoning_content: 'Hm' },
    ];
    const conceded = concede({ model: 'm', messages }, refusal(param, message, false), false);
    expect(conceded).toEqual({
      body: { model: 'm', messages: [messages[0], { role: 'assistant', content: 'Ho' }] },
      learned: { takesReasoningContent: false },
    });
    const must = 'The reasoning_content in the thinking mode must be passed back to the API.';
    expect(concede({ model: 'm', messages }, refusal(null, must, false), false)).toBeUndefined();
  });

  it.each([
    [
      'messages[1].tool_calls[0].extra_content',
      "Unknown parameter: 'messages[1].tool_calls[0].extra_content'.",
    ],
    [null, "'messages.1' : property 'extra_content' is unsupported"],
    ['messages', "Unknown field 'extra_content' in messages[1]"],
    [null, 'messages[1].extra_content is not a valid property'],
  ])('takes Gemini’s signatures out for a server that does not know them (%s)', (param, message) => {
    const extra_content = { google: { thought_signature: 's' } };
    const tool = { id: 'call_1', type: 'function', function: { name: 'f', arguments: '{}' } };
    const turns = (extra: object) => [
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Ho', ...extra, tool_calls: [{ ...tool, ...extra }, tool] },
    ];
    const error = refusal(param, message, false);
    expect(concede({ model: 'm', messages: turns({ extra_content }) }, error, false)).toEqual({
      body: { model: 'm', messages: turns({}) },
      learned: { takesExtraContent: false },
    });
    expect(concede({ model: 'm', messages: turns({}) }, error, false)).toBeUndefined();
  });

  it('drops the client’s field only when it may', () => {
    const body = { temperature: 0, model: 'm' };
    const error = refusal('temperature', "'temperature' is not supported with this model");
    expect(concede(body, error, false)).toBeUndefined();
    expect(concede(body, error, true)).toMatchObject({ body: { model: 'm' }, dropped: 'temperature' });
  });

  it.each(['model', 'messages', 'tools', 'response_format', 'messages[0].content', 'absent'])(
    'never drops %s',
    (param) => {
      const body = { model: 'm', messages: [], tools: [], response_format: {} };
      expect(concede(body, refusal(param, 'not supported'), true)).toBeUndefined();
    },
  );
});
