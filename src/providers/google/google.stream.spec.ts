import type { AssistantMessage, ChatChunk, ChatMessage, ChatStreamEvent, ProviderCall } from '@app/contracts';
import { FinishReason } from '@google/genai';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toGeminiRequest } from './google.request.js';
import { type AnswerContext, CALL_ID_PREFIX, translateResponse } from './google.response.js';
import { GeminiStreamTranslator } from './google.stream.js';
import { GOOGLE } from './index.js';
import { paysEverySearch } from './google.traits.js';
import type { GeminiPart, JsonObject } from './google.wire.js';

const context: AnswerContext = {
  clientModel: 'client-name',
  legacyFunctions: false,
  oneCall: false,
  citesSources: true,
  paysEverySearch: true,
  now: () => 1_750_000_000,
};

const chunk = (parts: JsonObject[], fields: JsonObject = {}, others: JsonObject = {}): JsonObject => ({
  candidates: [{ content: { role: 'model', parts }, ...fields }],
  responseId: 'Rsp_1',
  ...others,
});
const usage = (prompt: number, candidates?: number) => ({
  usageMetadata: { promptTokenCount: prompt, ...(candidates ? { candidatesTokenCount: candidates } : {}) },
});
const STOP = { finishReason: 'STOP' };

function eventsOf(chunks: readonly JsonObject[], options: Partial<AnswerContext> = {}): ChatStreamEvent[] {
  const translator = new GeminiStreamTranslator({ ...context, ...options });
  return [...chunks.flatMap((each) => translator.take(JSON.stringify(each))), ...translator.end()];
}

function chunksOf(chunks: readonly JsonObject[], options: Partial<AnswerContext> = {}): ChatChunk[] {
  return eventsOf(chunks, options).map((event) => JSON.parse(event.json) as ChatChunk);
}

function wholeOf(body: JsonObject, options: Partial<AnswerContext> = {}) {
  return translateResponse(body, { ...context, ...options });
}

/** What a client makes of the deltas of choice 0: text is joined, lists and everything else is taken as given. */
function fold(chunks: readonly ChatChunk[]): AssistantMessage {
  const message: AssistantMessage = { role: 'assistant', content: null, refusal: null };
  for (const { delta } of chunks.flatMap((each) => each.choices).filter(({ index }) => index === 0)) {
    const { content, reasoning_content: reasoning, tool_calls: calls = [], images, ...others } = delta;
    if (content) message.content = (message.content ?? '') + content;
    if (reasoning) message.reasoning_content = (message.reasoning_content ?? '') + reasoning;
    for (const { index: _index, ...call } of calls) {
      message.tool_calls = [
        ...(message.tool_calls ?? []),
        call as NonNullable<AssistantMessage['tool_calls']>[number],
      ];
    }
    if (Array.isArray(images)) message.images = [...((message.images as unknown[]) ?? []), ...images];
    Object.assign(message, others);
  }
  return message;
}

/** The parts that go back to Gemini when the client returns the message. */
function partsOnNextTurn(message: AssistantMessage): GeminiPart[] {
  const messages = JSON.parse(JSON.stringify([{ role: 'user', content: 'x' }, message])) as ChatMessage[];
  const call = { request: { model: 'g', messages }, upstreamModel: 'gemini-2.5-flash' } as ProviderCall;
  return toGeminiRequest(call).body.contents[1]?.parts ?? [];
}

describe('a stream', () => {
  it('keeps the count of the prompt for chunks that leave it out', () => {
    const rest = { usageMetadata: { candidatesTokenCount: 500, thoughtsTokenCount: 80 } };
    const events = eventsOf([chunk([{ text: 'a' }], {}, usage(50, 1)), chunk([{ text: 'b' }], STOP, rest)]);
    expect(events.at(-1)?.usage).toMatchObject({ inputTokens: 50, outputTokens: 580 });
    const unknown = eventsOf([chunk([{ text: 'a' }], STOP, rest)]);
    expect(unknown.map((event) => event.usage)).toEqual([undefined, undefined]);
  });

  it('begins with the role, carries running usage, and ends with the usage alone', () => {
    const events = eventsOf([
      chunk([], {}, { usageMetadata: { trafficType: 'ON_DEMAND' } }),
      chunk([{ text: 'He' }], {}, usage(5)),
      chunk([{ text: 'llo' }], STOP, usage(4, 2)),
    ]);
    expect(
      events.map(({ outputText, usageOnly, finishReason }) => [outputText, usageOnly, finishReason]),
    ).toEqual([
      ['', false, undefined],
      ['He', false, undefined],
      ['llo', false, undefined],
      ['', false, 'stop'],
      ['', true, undefined],
    ]);
    expect(events.map((event) => event.usage?.inputTokens)).toEqual([undefined, 5, 4, 4, 4]);
    const chunks = events.map((event) => JSON.parse(event.json) as ChatChunk);
    expect(chunks[0]).toEqual({
      id: 'chatcmpl-Rsp_1',
      object: 'chat.completion.chunk',
      created: 1_750_000_000,
      model: 'client-name',
      choices: [{ index: 0, delta: { role: 'assistant' }, finish_reason: null }],
    });
    expect(chunks[4]).toMatchObject({
      choices: [],
      usage: { prompt_tokens: 4, completion_tokens: 2, total_tokens: 6 },
      provider_specific_fields: { usage_metadata: { promptTokenCount: 4 } },
    });
  });

  it('finishes behind its last words, with what belongs to the answer as a whole', () => {
    const logprobsResult = { chosenCandidates: [{ token: 'b' }] };
    const parts = [{ text: 'b' }, { functionCall: { name: 'f' } }, { text: '', thoughtSignature: 'c2ln' }];
    const both = [
      { content: { parts }, ...STOP, safetyRatings: [7], logprobsResult },
      { index: 1, content: { parts: [{ text: 'c' }] } },
    ];
    const chunks = chunksOf([{ candidates: both, modelStatus: 1 }, { candidates: [{ index: 1, ...STOP }] }]);
    expect(chunks.map(({ choices }) => choices)).toEqual([
      [
        {
          index: 0,
          delta: { role: 'assistant', content: 'b', tool_calls: [expect.objectContaining({ index: 0 })] },
          finish_reason: null,
          logprobs: { content: [expect.objectContaining({ token: 'b' })], refusal: null },
        },
        { index: 1, delta: { role: 'assistant', content: 'c' }, finish_reason: null },
      ],
      [
        {
          index: 0,
          delta: {
            extra_content: { google: { thought_signature: 'c2ln' } },
            provider_specific_fields: { parts: expect.any(Array) },
          },
          finish_reason: 'tool_calls',
          provider_specific_fields: { safety_ratings: [7] },
        },
      ],
      [{ index: 1, delta: {}, finish_reason: 'stop' }],
    ]);
    expect(chunks[0]?.provider_specific_fields).toEqual({ model_status: 1 });
  });

  it('numbers parallel calls through, in one chunk or several, and finishes as tool_calls', () => {
    const chunks = chunksOf([
      chunk([{ functionCall: { name: 'a', args: { x: 1 } } }, { functionCall: { name: 'b', id: 'k3' } }]),
      chunk([{ functionCall: { name: 'a', id: {} } } as unknown as GeminiPart]),
      chunk([{ text: '' }], STOP),
    ]);
    const calls = chunks.flatMap((each) => each.choices[0]?.delta.tool_calls ?? []);
    expect(calls).toEqual([
      {
        index: 0,
        id: `${CALL_ID_PREFIX}Rsp_1_0_0`,
        type: 'function',
        function: { name: 'a', arguments: '{"x":1}' },
      },
      { index: 1, id: 'k3', type: 'function', function: { name: 'b', arguments: '{}' } },
      {
        index: 2,
        id: `${CALL_ID_PREFIX}Rsp_1_0_2`,
        type: 'function',
        function: { name: 'a', arguments: '{}' },
      },
    ]);
    expect(chunks.at(-1)?.choices[0]?.finish_reason).toBe('tool_calls');
  });

  it('keeps every digit of an argument', () => {
    const call = JSON.stringify(chunk([{ functionCall: { name: 'f', args: { ids: ['ID'] } } }], STOP));
    const translator = new GeminiStreamTranslator(context);
    const [event] = translator.take(call.replace('"ID"', '12345678901234567890,-9007199254740993,0.5,1e300'));
    expect(JSON.parse(event!.json)).toMatchObject({
      choices: [
        {
          delta: {
            tool_calls: [
              { function: { arguments: '{"ids":[12345678901234567890,-9007199254740993,0.5,1e+300]}' } },
            ],
          },
        },
      ],
    });
  });

  it('keeps candidates apart by their index', () => {
    const chunks = chunksOf([
      {
        candidates: [
          { content: { parts: [{ text: 'a' }] } },
          { index: 1, content: { parts: [{ text: 'b' }] } },
        ],
      },
      { candidates: [{ index: 1, finishReason: 'MAX_TOKENS' }] },
      { candidates: [{ index: 0, finishReason: 'STOP' }] },
    ]);
    expect(
      chunks.map((each) => each.choices.map(({ index, finish_reason: finish }) => [index, finish])),
    ).toEqual([
      [
        [0, null],
        [1, null],
      ],
      [[1, 'length']],
      [[0, 'stop']],
    ]);
  });

  it('is cut when a candidate has not finished, or nothing came at all', () => {
    const unfinished = [chunk([{ text: 'a' }]), chunk([], { index: 1, ...STOP })];
    expect(() => eventsOf(unfinished)).toThrow(expect.objectContaining({ code: 'provider_bad_response' }));
    expect(() => eventsOf([])).toThrow(expect.objectContaining({ code: 'provider_bad_response' }));
    expect(() => eventsOf([{ usageMetadata: {} }])).toThrow(
      expect.objectContaining({ code: 'provider_bad_response' }),
    );
  });

  it('throws the error that stands in it, and on what is no chunk', () => {
    const error = { error: { code: 503, message: 'The model is overloaded.', status: 'UNAVAILABLE' } };
    expect(() => eventsOf([chunk([{ text: 'a' }]), error])).toThrow(
      expect.objectContaining({
        code: 'provider_overloaded',
        message: 'The model is overloaded.',
        processed: 'unknown',
      }),
    );
    const translator = new GeminiStreamTranslator(context);
    expect(() => translator.take(JSON.stringify([error]))).toThrow('The model is overloaded.');
    for (const json of ['{"a":', '7', '"x"', '[]']) {
      expect(() => translator.take(json)).toThrow(expect.objectContaining({ code: 'provider_bad_response' }));
    }
    expect(translator.take('[DONE]')).toEqual([]);
  });

  it('tells a blocked prompt as a refusal', () => {
    const blocked = { promptFeedback: { blockReason: 'SAFETY' }, responseId: 'Rsp_1', ...usage(6) };
    const chunks = chunksOf([blocked]);
    expect(chunks[0]?.choices).toEqual([
      {
        index: 0,
        delta: { role: 'assistant', refusal: 'Google blocked the prompt: SAFETY.' },
        finish_reason: 'content_filter',
        provider_specific_fields: { block_reason: 'SAFETY' },
      },
    ]);
    expect(chunks[0]?.provider_specific_fields).toEqual({ prompt_feedback: { blockReason: 'SAFETY' } });
    const { completion } = wholeOf(blocked);
    expect(completion.choices[0]?.message).toEqual(fold(chunks));
    expect(completion.usage?.prompt_tokens).toBe(6);
    expect(() => wholeOf({ usageMetadata: {} })).toThrow(
      expect.objectContaining({ code: 'provider_bad_response' }),
    );
  });

  it('ends an answer that is blocked on its way as withheld', () => {
    const blocked = { promptFeedback: { blockReason: 'PROHIBITED_CONTENT' }, ...usage(6, 2) };
    const [first, last, counted] = chunksOf([chunk([{ text: 'Once upon' }]), blocked]);
    expect(first?.choices[0]?.delta.content).toBe('Once upon');
    expect(last?.choices).toEqual([
      {
        index: 0,
        delta: {},
        finish_reason: 'content_filter',
        provider_specific_fields: { block_reason: 'PROHIBITED_CONTENT' },
      },
    ]);
    expect(counted?.usage).toMatchObject({ prompt_tokens: 6, completion_tokens: 2 });
    const silent = chunksOf([chunk([], { index: 0 }), blocked]).flatMap(({ choices }) => choices);
    expect(silent.at(-1)?.delta.refusal).toBe('Google blocked the prompt: PROHIBITED_CONTENT.');
    const ended = chunksOf([chunk([{ text: 'x' }], STOP), blocked]).flatMap(({ choices }) => choices);
    expect(ended.map((choice) => choice.finish_reason)).toEqual([null, 'stop']);
  });

  describe('with one call at a time', () => {
    const [text, first, second] = [
      { text: 'Both.' },
      { functionCall: { name: 'f', args: { a: 1 }, id: 'k2' }, thoughtSignature: 'c2ln' },
      { functionCall: { name: 'g', args: { b: 2 }, id: 'k3' } },
    ] as const;
    const one = { oneCall: true };

    it('gives the first one alone, whole and streamed, and brings it back as a turn of its own', () => {
      const { completion, usage: counted } = wholeOf(chunk([text, first, second], STOP, usage(9, 40)), one);
      const [choice] = completion.choices;
      expect(choice).toMatchObject({ finish_reason: 'tool_calls', message: { tool_calls: [{ id: 'k2' }] } });
      expect(choice?.message.tool_calls).toHaveLength(1);
      expect(partsOnNextTurn(choice!.message)).toEqual([text, first]);
      expect(counted?.outputTokens).toBe(40);
      for (const pieces of [
        [[text, first, second]],
        [[text], [first], [second], []],
        [[text, first], [second]],
      ]) {
        const streamed = chunksOf(
          pieces.map((parts, at) => chunk([...parts], at === pieces.length - 1 ? STOP : {}, usage(9, 40))),
          one,
        );
        expect(fold(streamed)).toEqual(choice?.message);
        const ends = streamed.flatMap(({ choices }) => choices.flatMap((each) => each.finish_reason ?? []));
        expect(ends).toEqual(['tool_calls']);
        expect(streamed.at(-1)?.usage?.completion_tokens).toBe(40);
      }
    });

    it('leaves the signature of a part behind them in its place', () => {
      const last = { text: '', thoughtSignature: 'ZW5k' };
      const { completion } = wholeOf(chunk([first, second, last], STOP), one);
      expect(partsOnNextTurn(completion.choices[0]!.message)).toEqual([first, last]);
    });
  });

  it('speaks the dialect before tools, which has room for one call, to who asked in it', () => {
    const parts = [
      { functionCall: { name: 'f', args: { a: 1 } }, thoughtSignature: 'c2ln' },
      { functionCall: { name: 'g', id: 'k3' } },
    ];
    const legacy = { legacyFunctions: true, oneCall: true };
    const message = fold(chunksOf([chunk(parts, STOP)], legacy));
    expect(message.function_call).toEqual({ name: 'f', arguments: '{"a":1}' });
    expect(message.tool_calls).toBeUndefined();
    const { completion } = wholeOf(chunk(parts, STOP), legacy);
    expect(completion.choices[0]).toMatchObject({ finish_reason: 'function_call', message });
    expect(partsOnNextTurn(message)).toEqual(parts.slice(0, 1));
  });

  it('counts what the model wrote, calls included, in either dialect', () => {
    const parts = [
      { text: 'Hm.', thought: true },
      { text: 'So: ' },
      { functionCall: { name: 'f', args: { a: 1 } } },
    ];
    for (const legacyFunctions of [false, true]) {
      const written = eventsOf([chunk(parts, STOP)], { legacyFunctions }).map(({ outputText }) => outputText);
      expect(written.join('')).toBe('Hm.So: {"a":1}');
    }
  });

  it('says nothing of what is empty, and tells token probabilities that come alone', () => {
    const empty = { citationMetadata: {}, safetyRatings: [], groundingMetadata: null };
    const logprobsResult = { chosenCandidates: [{ token: 'a' }] };
    const chunks = chunksOf([
      chunk([{ text: 'a' }], empty),
      chunk([{ text: '' }], empty),
      chunk([], { logprobsResult }),
      chunk([], { safetyRatings: [7] }),
      chunk([], STOP),
    ]);
    expect(chunks.flatMap(({ choices }) => choices)).toEqual([
      { index: 0, delta: { role: 'assistant', content: 'a' }, finish_reason: null },
      { index: 0, delta: {}, finish_reason: null, logprobs: expect.anything() },
      { index: 0, delta: {}, finish_reason: null, provider_specific_fields: { safety_ratings: [7] } },
      { index: 0, delta: {}, finish_reason: 'stop' },
    ]);
  });

  it('shows unknown fields of answer, candidate, call and part', () => {
    const part = {
      functionCall: { name: 'f', newField: 1 },
      partMetadata: { a: 1 },
      thoughtSignature: 'c2ln',
    };
    const body = chunk([part], { ...STOP, newest: { b: 2 } }, { modelStatus: { stage: 'LEGACY' } });
    const { completion } = wholeOf(body);
    expect(completion).toMatchObject({
      provider_specific_fields: { model_status: { stage: 'LEGACY' } },
      choices: [
        {
          provider_specific_fields: { newest: { b: 2 } },
          message: {
            tool_calls: [
              {
                provider_specific_fields: {
                  thought_signature: 'c2ln',
                  part: { partMetadata: { a: 1 } },
                  function_call: { newField: 1 },
                },
              },
            ],
          },
        },
      ],
    });
    const [returned] = partsOnNextTurn(
      completion.choices[0]?.message ?? { role: 'assistant', content: null },
    );
    expect(returned).toEqual({ ...part, functionCall: { name: 'f', args: {}, newField: 1 } });
  });
});

describe('signatures', () => {
  const google = (thought_signature: string) => ({ extra_content: { google: { thought_signature } } });
  const parts = [
    { text: 'Two at ' },
    { text: 'once.', thoughtSignature: 'dGV4dA==' },
    { functionCall: { name: 'f', args: {} }, thoughtSignature: 'Y2FsbA==' },
    { functionCall: { name: 'g', args: {} } },
  ];

  it('stand where Google’s own compatible endpoint has them, too, whole and streamed', () => {
    const whole = wholeOf(chunk(parts, STOP)).completion.choices[0]?.message;
    expect(whole).toMatchObject({
      ...google('dGV4dA=='),
      tool_calls: [
        { ...google('Y2FsbA=='), provider_specific_fields: { thought_signature: 'Y2FsbA==' } },
        { function: { name: 'g' } },
      ],
    });
    expect(whole?.tool_calls?.[1]).not.toHaveProperty('extra_content');
    const streamed = chunksOf([
      ...parts.map((part) => chunk([part])),
      chunk([{ text: '', thoughtSignature: 'ZW5k' }], STOP),
    ]);
    expect(fold(streamed)).toMatchObject({ ...google('ZW5k'), tool_calls: whole?.tool_calls });
    const told = streamed.flatMap(({ choices }) => choices).filter(({ delta }) => delta.extra_content);
    expect(told.map((choice) => choice.finish_reason)).toEqual(['tool_calls']);
    const thought = { text: 'Hm', thought: true, thoughtSignature: 'aG0=' };
    expect(wholeOf(chunk([thought], STOP)).completion.choices[0]?.message).not.toHaveProperty(
      'extra_content',
    );
  });

  it('come back by that alone', () => {
    const message = wholeOf(chunk(parts, STOP)).completion.choices[0]?.message;
    const { provider_specific_fields: _layout, tool_calls: calls = [], ...rest } = message!;
    const tool_calls = calls.map(({ provider_specific_fields: _fields, ...call }) => call);
    expect(partsOnNextTurn({ ...rest, tool_calls })).toEqual([
      { text: 'Two at once.', thoughtSignature: 'dGV4dA==' },
      ...parts.slice(2),
    ]);
  });
});

describe('finish reasons', () => {
  it.each(
    Object.keys(FinishReason).filter((name) => !/^(STOP|CONTINUATION|MAX_TOKENS|.*UNSPECIFIED)$/.test(name)),
  )('%s of Google’s SDK is seen, and paid', (finishReason) => {
    const body = {
      candidates: [{ finishReason }],
      usageMetadata: { promptTokenCount: 50, thoughtsTokenCount: 7 },
    };
    const { completion, usage: paid } = wholeOf(body);
    const [choice] = completion.choices;
    expect(choice).toMatchObject({
      finish_reason: 'content_filter',
      message: { content: null, refusal: expect.stringContaining(finishReason) },
      provider_specific_fields: { finish_reason: finishReason },
    });
    expect(paid).toMatchObject({ inputTokens: 50, outputTokens: 7 });
    const events = eventsOf([body]);
    expect(events.map((event) => event.finishReason)).toEqual(['content_filter', undefined]);
    expect(events.at(-1)?.usage).toEqual(paid);
  });

  it.each([
    ['STOP', 'stop', undefined],
    ['MAX_TOKENS', 'length', undefined],
    ['SAFETY', 'content_filter', 'SAFETY'],
    ['RECITATION', 'content_filter', 'RECITATION'],
    ['BLOCKLIST', 'content_filter', 'BLOCKLIST'],
    ['PROHIBITED_CONTENT', 'content_filter', 'PROHIBITED_CONTENT'],
    ['SPII', 'content_filter', 'SPII'],
    ['LANGUAGE', 'content_filter', 'LANGUAGE'],
    ['MODEL_ARMOR', 'content_filter', 'MODEL_ARMOR'],
    ['IMAGE_SAFETY', 'content_filter', 'IMAGE_SAFETY'],
    ['CONTINUATION', 'length', 'CONTINUATION'],
    ['MALFORMED_FUNCTION_CALL', 'content_filter', 'MALFORMED_FUNCTION_CALL'],
    ['UNEXPECTED_TOOL_CALL', 'content_filter', 'UNEXPECTED_TOOL_CALL'],
    ['SOMETHING_NEW', 'content_filter', 'SOMETHING_NEW'],
  ])('%s is %s', (finishReason, expected, raw) => {
    const [choice] = wholeOf({ candidates: [{ finishReason }] }).completion.choices;
    expect(choice?.finish_reason).toBe(expected);
    expect(choice?.provider_specific_fields).toEqual(raw === undefined ? undefined : { finish_reason: raw });
    const said = wholeOf(chunk([{ text: 'half' }], { finishReason })).completion.choices[0]?.message;
    expect(said).toMatchObject({ content: 'half', refusal: null });
  });

  it('says what Google said when the answer was withheld', () => {
    const [choice] = wholeOf({ candidates: [{ finishReason: 'SAFETY', finishMessage: 'Not this.' }] })
      .completion.choices;
    expect(choice?.message).toMatchObject({ content: null, refusal: 'Not this.' });
  });

  it('takes an answer that names none as complete, being whole', () => {
    expect(wholeOf(chunk([{ text: 'a' }])).completion.choices[0]?.finish_reason).toBe('stop');
  });

  it('tells a call that was cut by the limit as cut', () => {
    const body = chunk([{ functionCall: { name: 'f' } }], { finishReason: 'MAX_TOKENS' });
    expect(wholeOf(body).completion.choices[0]?.finish_reason).toBe('length');
  });

  it('takes an answer without a word for no refusal, and a withheld call for none either', () => {
    expect(wholeOf(chunk([], STOP)).completion.choices[0]?.message).toMatchObject({
      content: null,
      refusal: null,
    });
    const withheld = chunk([{ functionCall: { name: 'f' } }], { finishReason: 'SAFETY' });
    expect(wholeOf(withheld).completion.choices[0]?.message.refusal).toBeNull();
  });

  it.each(['', 'FINISH_REASON_UNSPECIFIED'])('takes %j for none', (finishReason) => {
    const chunks = chunksOf([chunk([{ text: 'a' }], { finishReason }), chunk([{ text: 'b' }], STOP)]);
    expect(chunks.flatMap(({ choices }) => choices).map((choice) => choice.finish_reason)).toEqual([
      null,
      null,
      'stop',
    ]);
  });
});

describe('what stands beside the text', () => {
  it('token probabilities', () => {
    const logprobsResult = {
      chosenCandidates: [{ token: 'é', tokenId: 7, logProbability: -0.5 }, { token: 'b' }],
      topCandidates: [
        {
          candidates: [
            { token: 'é', logProbability: -0.5 },
            { token: 'x', logProbability: -2 },
          ],
        },
      ],
    };
    const [choice] = wholeOf(chunk([{ text: 'éb' }], { ...STOP, logprobsResult })).completion.choices;
    expect(choice?.logprobs).toEqual({
      content: [
        {
          token: 'é',
          logprob: -0.5,
          bytes: [195, 169],
          token_id: 7,
          top_logprobs: [
            { token: 'é', logprob: -0.5, bytes: [195, 169] },
            { token: 'x', logprob: -2, bytes: [120] },
          ],
        },
        { token: 'b', logprob: 0, bytes: [98], top_logprobs: [] },
      ],
      refusal: null,
    });
  });

  it('citations, in characters of the text', () => {
    const text = 'Das Café ☃️ wurde 1901 eröffnet.';
    const start = text.indexOf('1901');
    const bytesBefore = Buffer.byteLength(text.slice(0, start));
    const groundingMetadata = {
      webSearchQueries: ['a', '', 'b'],
      groundingChunks: [
        { web: { uri: 'https://a.example/', title: 'A' } },
        { retrievedContext: { text: 'x' } },
      ],
      groundingSupports: [
        { segment: { startIndex: bytesBefore, endIndex: bytesBefore + 4 }, groundingChunkIndices: [0, 1, 9] },
      ],
    };
    const { completion, usage: counted } = wholeOf(
      chunk([{ text }], { ...STOP, groundingMetadata }, usage(3)),
    );
    const [citation] = completion.choices[0]?.message.annotations ?? [];
    expect(citation).toEqual({
      type: 'url_citation',
      url_citation: { url: 'https://a.example/', title: 'A', start_index: start, end_index: start + 4 },
    });
    expect(counted?.serverToolCalls).toEqual({ web_search: 2 });
    const grounded = chunk([{ text }], { ...STOP, groundingMetadata }, usage(3));
    const oncePaid = { paysEverySearch: false };
    expect(wholeOf(grounded, oncePaid).usage?.serverToolCalls).toEqual({ web_search: 1 });
    expect(eventsOf([grounded], oncePaid).at(-1)?.usage?.serverToolCalls).toEqual({ web_search: 1 });
    expect(completion.choices[0]?.provider_specific_fields).toEqual({
      grounding_metadata: groundingMetadata,
    });
  });

  it.each([
    ['gemini-2.5-flash', false],
    ['gemini-3.5-flash', true],
  ])('searches that %s makes, as they are charged', (model, each) => {
    expect(paysEverySearch(model)).toBe(each);
    expect(GOOGLE.billsSearchesOnce?.(model)).toBe(!each);
  });

  it('citations of a stream, also when its last chunks say no more of them', () => {
    const groundingMetadata = {
      groundingChunks: [{ maps: { uri: 'https://maps.example/', title: 'M' } }],
      groundingSupports: [{ segment: { endIndex: 3 }, groundingChunkIndices: [0] }],
    };
    const chunks = chunksOf([
      chunk([{ text: 'é!' }], { groundingMetadata }),
      chunk([], { ...STOP, groundingMetadata: {} }),
    ]);
    expect(chunks.at(-1)?.choices[0]?.delta.annotations).toEqual([
      {
        type: 'url_citation',
        url_citation: { url: 'https://maps.example/', title: 'M', start_index: 0, end_index: 2 },
      },
    ]);
  });

  it('citations in a part of the text behind the first, where their places count from', () => {
    const groundingMetadata = {
      groundingChunks: [{ web: { uri: 'https://a.example/', title: 'A' } }],
      groundingSupports: [
        { segment: { partIndex: 2, startIndex: 0, endIndex: 4, text: 'Süd' }, groundingChunkIndices: [0] },
        {
          segment: { partIndex: 2, startIndex: 1, endIndex: 9, text: 'not there' },
          groundingChunkIndices: [0],
        },
      ],
    };
    const parts = [{ text: 'Nördlich. ' }, { executableCode: { code: '1' } }, { text: 'Süd' }];
    const places = ({ annotations = [] }: { annotations?: unknown[] }) =>
      (annotations as { url_citation: { start_index: number; end_index: number } }[]).map(
        ({ url_citation: { start_index: start, end_index: end } }) => [start, end],
      );
    const { message } = wholeOf(chunk(parts, { ...STOP, groundingMetadata })).completion.choices[0]!;
    expect(places(message)).toEqual([
      [10, 13],
      [1, 8],
    ]);
  });

  it('citations whose sources and places come in different chunks, also behind the finish', () => {
    const groundingChunks = [{ image: { sourceUri: 'https://img.example/', imageUri: 'x', title: 'I' } }];
    const groundingSupports = [{ segment: { endIndex: 2 }, groundingChunkIndices: [0] }];
    const searched = { groundingMetadata: { webSearchQueries: ['q'], groundingChunks } };
    const supported = { groundingMetadata: { groundingSupports } };
    const expected = [
      {
        type: 'url_citation',
        url_citation: { url: 'https://img.example/', title: 'I', start_index: 0, end_index: 2 },
      },
    ];
    const annotationsOf = (...chunks: JsonObject[]) =>
      chunksOf(chunks).flatMap((one) => one.choices[0]?.delta.annotations ?? []);
    const stop = { ...STOP, ...supported };
    expect(annotationsOf(chunk([{ text: 'ab' }], searched), chunk([], stop))).toEqual(expected);
    expect(annotationsOf(chunk([{ text: 'ab' }], searched), chunk([], STOP), chunk([], stop))).toEqual(
      expected,
    );
    expect(annotationsOf(chunk([{ text: 'ab' }], { ...STOP, ...searched, ...supported }))).toEqual([]);
  });

  it('when the answer was made, and by what', () => {
    const made = { createTime: '2026-01-01T00:00:00.9Z', modelVersion: 'gemini-x-001' };
    const told = { created: 1_767_225_600, system_fingerprint: 'gemini-x-001', model: 'client-name' };
    expect(wholeOf(chunk([{ text: 'a' }], STOP, made)).completion).toMatchObject(told);
    expect(wholeOf(chunk([{ text: 'a' }], STOP)).completion.created).toBe(context.now());
  });

  it("the tier, in OpenAI's word for it", () => {
    const tier = (serviceTier: string) =>
      wholeOf(chunk([{ text: 'a' }], STOP, { usageMetadata: { serviceTier } })).completion.service_tier;
    expect([tier('standard'), tier('flex')]).toEqual(['default', 'flex']);
  });

  it('several candidates, also when they are not numbered', () => {
    const candidate = (text: string) => ({ content: { parts: [{ text }] }, ...STOP });
    const { choices } = wholeOf({ candidates: [candidate('a'), candidate('b')] }).completion;
    expect(choices.map(({ index, message }) => [index, message.content])).toEqual([
      [0, 'a'],
      [1, 'b'],
    ]);
  });

  it.each([{ toString: 1 }, 7, ['image/png'], null])('no image of a type that is no text: %j', (mimeType) => {
    const body = chunk([{ text: 'a' }, { inlineData: { mimeType, data: 'AA==' } }], STOP);
    expect(wholeOf(body).completion.choices[0]!.message).toMatchObject({ content: 'a' });
    expect(wholeOf(body).completion.choices[0]!.message.images).toBeUndefined();
  });

  it('each of several images, and none that the model drew for itself', () => {
    const image = (data: string) => ({ inlineData: { mimeType: 'image/png', data } });
    const body = chunk([{ ...image('AA=='), thought: true }, image('BB=='), image('CC==')], STOP);
    expect(wholeOf(body).completion.choices[0]!.message.images).toEqual([
      { index: 0, type: 'image_url', image_url: { url: 'data:image/png;base64,BB==' } },
      { index: 1, type: 'image_url', image_url: { url: 'data:image/png;base64,CC==' } },
    ]);
  });

  it('images, as data URLs that find their way back', () => {
    const parts = [
      { text: 'Here:' },
      { inlineData: { mimeType: 'image/png', data: 'iVBO' }, thoughtSignature: 'aW1n' },
      { text: 'Nice?' },
    ];
    const message = fold(chunksOf(parts.map((part, at) => chunk([part], at === 2 ? STOP : {}))));
    expect(message.images).toEqual([
      { index: 0, type: 'image_url', image_url: { url: 'data:image/png;base64,iVBO' } },
    ]);
    expect(message.content).toBe('Here:Nice?');
    expect(partsOnNextTurn(message)).toEqual(parts);
    const { provider_specific_fields: _layout, ...stripped } = message;
    expect(partsOnNextTurn(stripped)).toEqual([
      { text: 'Here:Nice?' },
      { inlineData: { mimeType: 'image/png', data: 'iVBO' } },
    ]);
  });
});

describe('the layout of a turn', () => {
  const signed: GeminiPart[] = [{ text: 'Hello' }, { text: '', thoughtSignature: 'c2ln' }];

  it('is not given when the message says it all', () => {
    const { completion } = wholeOf(
      chunk([{ text: 'a', thought: true }, { text: 'b' }, { functionCall: { name: 'f' } }]),
    );
    expect(completion.choices[0]?.message.provider_specific_fields).toBeUndefined();
  });

  it('gives the whole text once when the client has changed it', () => {
    const { message } = wholeOf(chunk(signed)).completion.choices[0] ?? {};
    const edited = { ...message, role: 'assistant' as const, content: 'Hello, edited' };
    expect(partsOnNextTurn(edited)).toEqual([
      { text: 'Hello, edited' },
      { text: '', thoughtSignature: 'c2ln' },
    ]);
    const emptied = { ...edited, content: null };
    expect(partsOnNextTurn(emptied)).toEqual([{ text: '', thoughtSignature: 'c2ln' }]);
  });

  it('keeps a text that it knows nothing of', () => {
    const code = { executableCode: { code: '1' } };
    const { message } = wholeOf(chunk([code])).completion.choices[0] ?? {};
    const extended = { ...message, role: 'assistant' as const, content: 'added' };
    expect(partsOnNextTurn(extended)).toEqual([{ text: 'added' }, code]);
  });

  it('keeps calls that it does not know', () => {
    const { message } = wholeOf(chunk(signed)).completion.choices[0] ?? {};
    const call = { id: 'i', type: 'function' as const, function: { name: 'f', arguments: '{}' } };
    const extended = { ...message, role: 'assistant' as const, content: 'Hello', tool_calls: [call] };
    expect(partsOnNextTurn(extended).at(-1)).toEqual({ functionCall: { name: 'f', args: {}, id: 'i' } });
  });
});

describe('for any answer', () => {
  const signature = fc.option(fc.base64String({ minLength: 4 }), { nil: undefined, freq: 1 });
  const withSignature = <T extends object>(part: T, thoughtSignature: string | undefined) =>
    thoughtSignature ? { ...part, thoughtSignature } : part;
  const textPart = fc
    .tuple(fc.string({ unit: 'grapheme', maxLength: 12 }), fc.boolean(), signature)
    .map(([text, thought, sign]) => withSignature(thought ? { text, thought } : { text }, sign));
  const callPart = fc
    .tuple(
      fc.constantFrom('f', 'g'),
      fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 2 }),
      fc.boolean(),
      signature,
    )
    .map(([name, args, hasId, sign]): JsonObject => {
      const functionCall = { name, args: JSON.parse(JSON.stringify(args)) as JsonObject };
      return withSignature({ functionCall, hasId }, sign);
    });
  const opaquePart = fc
    .tuple(fc.constantFrom('executableCode', 'toolCall', 'fileData', 'somethingNew'), signature)
    .map(([key, sign]) => withSignature({ [key]: { id: 'x', code: '1' } }, sign));
  const imagePart = signature.map((sign) =>
    withSignature({ inlineData: { mimeType: 'image/png', data: 'AA==' } }, sign),
  );
  const parts = fc
    .array(fc.oneof(textPart, textPart, callPart, opaquePart, imagePart), { maxLength: 8 })
    .map((list) =>
      list.map((part, at): JsonObject => {
        if (!('hasId' in part)) return { ...part };
        const { hasId, functionCall, ...others } = part;
        return {
          ...others,
          functionCall: { ...(functionCall as JsonObject), ...(hasId ? { id: `k${at}` } : {}) },
        };
      }),
    );

  /** Plain text may be cut anywhere on its way; everything else comes in one piece. */
  function cut(list: JsonObject[], random: () => number): JsonObject[][] {
    const pieces = list.flatMap((part) => {
      if (typeof part.text !== 'string' || part.thoughtSignature !== undefined) return [part];
      const at = Math.floor(random() * (part.text.length + 1));
      return [
        { ...part, text: part.text.slice(0, at) },
        { ...part, text: part.text.slice(at) },
      ];
    });
    const chunks: JsonObject[][] = [[]];
    for (const piece of pieces) {
      if (random() < 0.5) chunks.push([]);
      chunks.at(-1)?.push(piece);
    }
    return chunks;
  }

  it('the folded stream is the whole answer', () => {
    fc.assert(
      fc.property(
        parts,
        fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { minLength: 1 }),
        (list, numbers) => {
          let at = 0;
          const random = () => numbers[at++ % numbers.length] ?? 0;
          const chunks = cut(list, random).map((pieces) => chunk(pieces, {}, usage(3, 4)));
          const streamed = chunksOf([...chunks, chunk([], STOP, usage(3, 4))]);
          const { completion } = wholeOf(chunk(list, STOP, usage(3, 4)));
          const [choice] = completion.choices;
          expect(fold(streamed)).toEqual(choice?.message);
          expect(streamed.findLast((each) => each.choices[0]?.finish_reason)?.choices[0]?.finish_reason).toBe(
            choice?.finish_reason,
          );
          expect(streamed.at(-1)?.usage).toEqual(completion.usage);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('the parts come back as they were, signatures byte for byte', () => {
    fc.assert(
      fc.property(parts, (list) => {
        const { completion } = wholeOf(chunk(list, STOP));
        const message = completion.choices[0]?.message ?? { role: 'assistant', content: null };
        const returned = mergePlainText(partsOnNextTurn(message).map((part) => ({ ...part })));
        expect(returned).toEqual(mergePlainText(list.filter((part) => !isUnsignedThought(part))));
      }),
      { numRuns: 500 },
    );
  });

  function isUnsignedThought(part: JsonObject): boolean {
    return part.thought === true && part.thoughtSignature === undefined;
  }

  function mergePlainText(list: JsonObject[]): JsonObject[] {
    const isPlain = (part: JsonObject | undefined) =>
      part !== undefined && Object.keys(part).join() === 'text';
    const merged: JsonObject[] = [];
    for (const part of list) {
      const last = merged.at(-1);
      if (isPlain(part) && part.text === '') continue;
      if (last && isPlain(last) && isPlain(part)) last.text = `${String(last.text)}${String(part.text)}`;
      else merged.push({ ...part });
    }
    return merged;
  }
});
