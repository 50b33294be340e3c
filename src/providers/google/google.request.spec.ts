import { type ChatRequest, GatewayError, type ProviderCall } from '@app/contracts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { STAND_IN_SIGNATURE } from './google.contents.js';
import { toGeminiRequest } from './google.request.js';
import { CALL_ID_PREFIX } from './google.response.js';

const hi = [{ role: 'user' as const, content: 'hi' }];

function callFor(request: Partial<ChatRequest>, options: Partial<ProviderCall> = {}): ProviderCall {
  return {
    request: { model: 'g', messages: hi, ...request },
    upstreamModel: 'gemini-2.5-flash',
    clientModel: 'g',
    maxOutputTokens: undefined,
    requestId: 'r',
    signal: new AbortController().signal,
    dropUnsupported: false,
    ...options,
  };
}

function bodyOf(request: Partial<ChatRequest>, options: Partial<ProviderCall> = {}) {
  return toGeminiRequest(callFor(request, options)).body;
}

function contentsOf(messages: ChatRequest['messages'], upstreamModel = 'gemini-2.5-flash') {
  return bodyOf({ messages }, { upstreamModel }).contents;
}

function faultOf(request: Partial<ChatRequest>, upstreamModel = 'gemini-2.5-flash') {
  try {
    toGeminiRequest(callFor(request, { upstreamModel }));
  } catch (error) {
    return error instanceof GatewayError ? `${error.code} ${error.param}` : error;
  }
  return 'accepted';
}

const call = (id: string, name: string, args = '{}', fields: object = {}) => ({
  id,
  type: 'function' as const,
  function: { name, arguments: args },
  ...fields,
});

describe('messages', () => {
  it('makes leading instructions the system instruction, and tells later ones in their place', () => {
    const body = bodyOf({
      messages: [
        { role: 'system', content: 'A' },
        { role: 'developer', content: [{ type: 'text', text: 'B' }] },
        { role: 'user', content: 'hi' },
        { role: 'system', content: 'C' },
        { role: 'assistant', content: 'hello' },
        { role: 'user', content: 'bye' },
      ],
    });
    expect(body.systemInstruction).toEqual({ parts: [{ text: 'A' }, { text: 'B' }] });
    expect(body.contents).toEqual([
      { role: 'user', parts: [{ text: 'hi' }, { text: 'C' }] },
      { role: 'model', parts: [{ text: 'hello' }] },
      { role: 'user', parts: [{ text: 'bye' }] },
    ]);
  });

  it('says names, and leaves out what is empty', () => {
    expect(
      contentsOf([
        { role: 'user', content: 'hi', name: 'ann' },
        { role: 'assistant', content: null },
        { role: 'user', content: '' },
        { role: 'user', content: [{ type: 'text', text: '' }] },
        {
          role: 'user',
          name: 'bob',
          content: [{ type: 'image_url', image_url: { url: 'data:image/png;base64,AA==' } }],
        },
      ]),
    ).toEqual([
      {
        role: 'user',
        parts: [
          { text: 'ann: hi' },
          { text: 'bob:' },
          { inlineData: { mimeType: 'image/png', data: 'AA==' } },
        ],
      },
    ]);
  });

  it('always has a content', () => {
    const system = { role: 'system' as const, content: 'A' };
    expect(bodyOf({ messages: [system] })).toEqual({ contents: [{ role: 'user', parts: [{ text: 'A' }] }] });
    expect(bodyOf({ messages: [system, { role: 'user', content: '' }] })).toEqual({
      contents: [{ role: 'user', parts: [{ text: ' ' }] }],
      systemInstruction: { parts: [{ text: 'A' }] },
    });
  });

  it('never begins with a call, which Gemini takes only behind a turn of the user or results', () => {
    const assistant = { role: 'assistant' as const, content: null, tool_calls: [call('a', 'f')] };
    const result = { role: 'tool' as const, tool_call_id: 'a', content: '1' };
    const begun = contentsOf([{ role: 'system', content: 'A' }, assistant, result]);
    expect(begun[0]).toEqual({ role: 'user', parts: [{ text: ' ' }] });
    expect(begun.map(({ role }) => role)).toEqual(['user', 'model', 'user']);
    const emptied = contentsOf([{ role: 'user', content: '' }, assistant, result]);
    expect(emptied).toEqual(begun);
    expect(contentsOf([{ role: 'assistant', content: 'hello' }, ...hi])[0]?.role).toBe('model');
  });

  it("keeps a refusal as the model's words, and drops thoughts without a signature", () => {
    const [, turn] = contentsOf([
      ...hi,
      { role: 'assistant', content: null, refusal: 'No.', reasoning_content: 'secret' },
    ]);
    expect(turn).toEqual({ role: 'model', parts: [{ text: 'No.' }] });
  });
});

describe('calls and their results', () => {
  it("keeps Gemini's ids, hides ours, and puts results into the order of the calls", () => {
    const ours = `${CALL_ID_PREFIX}abc_0_1`;
    const contents = contentsOf([
      ...hi,
      {
        role: 'assistant',
        content: 'Looking.',
        tool_calls: [call('k3v9', 'a', '{"x":1}'), call(ours, 'b', '')],
      },
      { role: 'tool', tool_call_id: ours, content: '{"ok":true}' },
      { role: 'tool', tool_call_id: 'k3v9', content: 'plain' },
      { role: 'user', content: 'and?' },
    ]);
    expect(contents.slice(1)).toEqual([
      {
        role: 'model',
        parts: [
          { text: 'Looking.' },
          { functionCall: { name: 'a', args: { x: 1 }, id: 'k3v9' } },
          { functionCall: { name: 'b', args: {} } },
        ],
      },
      {
        role: 'user',
        parts: [
          { functionResponse: { id: 'k3v9', name: 'a', response: { output: 'plain' } } },
          { functionResponse: { name: 'b', response: { ok: true } } },
        ],
      },
      { role: 'user', parts: [{ text: 'and?' }] },
    ]);
  });

  it.each([
    ['[1,"a"]', { output: [1, 'a'] }],
    ['12', { output: '12' }],
    ['', { output: '' }],
    ['{"broken', { output: '{"broken' }],
    ['{"id":12345678901234567890}', { output: '{"id":12345678901234567890}' }],
    ['{"id":"12345678901234567890"}', { id: '12345678901234567890' }],
  ])('result %j', (content, response) => {
    const contents = contentsOf([
      ...hi,
      { role: 'assistant', tool_calls: [call('i', 'f')] },
      { role: 'tool', tool_call_id: 'i', content },
    ]);
    expect(contents[2]?.parts[0]?.functionResponse).toMatchObject({ response });
  });

  it('puts media of a result beside its text where the model takes it there, else behind the results', () => {
    const image = { type: 'image_url', image_url: { url: 'data:image/png;base64,AA==' } };
    const page = { type: 'file', file: { file_url: 'https://a.example/a.pdf' } };
    const messages: ChatRequest['messages'] = [
      ...hi,
      { role: 'assistant', tool_calls: [call('i', 'f'), call('j', 'g')] },
      {
        role: 'tool',
        tool_call_id: 'i',
        content: [{ type: 'text', text: 'a' }, image, page, { type: 'text', text: 'b' }],
      },
      { role: 'tool', tool_call_id: 'j', content: 'c' },
      { role: 'user', content: 'and?' },
    ];
    const inline = { inlineData: { mimeType: 'image/png', data: 'AA==' } };
    const linked = { fileData: { mimeType: 'application/pdf', fileUri: 'https://a.example/a.pdf' } };
    const said = { id: 'i', name: 'f', response: { output: 'a\nb' } };
    const other = { functionResponse: { id: 'j', name: 'g', response: { output: 'c' } } };
    // Gemini wants as many parts in the answer as there were calls, so that nothing else may stand among them.
    expect(contentsOf(messages).slice(2)).toEqual([
      { role: 'user', parts: [{ functionResponse: said }, other] },
      { role: 'user', parts: [{ text: 'f:' }, inline, linked, { text: 'and?' }] },
    ]);
    expect(contentsOf(messages, 'gemini-3.5-flash').slice(2)).toEqual([
      { role: 'user', parts: [{ functionResponse: { ...said, parts: [inline] } }, other] },
      { role: 'user', parts: [{ text: 'f:' }, linked, { text: 'and?' }] },
    ]);
  });

  it('puts no media into a result but those of the kinds that Gemini takes there', () => {
    const media = (url: string, fields = {}) => ({ type: 'image_url', image_url: { url, ...fields } });
    const content = [
      media('data:image/webp;base64,AA=='),
      media('data:image/gif;base64,AA=='),
      media('data:audio/wav;base64,AA=='),
      media('data:image/png;base64,AA==', { media_resolution: { level: 'L' } }),
    ];
    const [, results, beside] = contentsOf(
      [...hi, { role: 'function', name: 'f', content }] as ChatRequest['messages'],
      'gemini-3.8-flash',
    );
    expect(results?.parts[0]?.functionResponse?.parts).toEqual([
      { inlineData: { mimeType: 'image/webp', data: 'AA==' } },
    ]);
    expect(beside?.parts.map(({ inlineData }) => inlineData?.mimeType)).toEqual([
      undefined,
      'image/gif',
      'audio/wav',
      'image/png',
    ]);
  });

  it('says which result is an error', () => {
    const response = (content: string) => {
      const result = { role: 'tool' as const, tool_call_id: 'i', content, is_error: true };
      const [, , told] = contentsOf([...hi, { role: 'assistant', tool_calls: [call('i', 'f')] }, result]);
      return told?.parts[0]?.functionResponse?.response;
    };
    expect(response('No such city.')).toEqual({ error: 'No such city.' });
    expect(response('[1]')).toEqual({ error: [1] });
    expect(response('{"output":"x","code":7}')).toEqual({ error: { output: 'x', code: 7 } });
  });

  it('gives each result to the first call of its id that has none', () => {
    const answered = (...ids: string[]) =>
      ids.map((id, at) => ({ role: 'tool' as const, tool_call_id: id, content: `r${at}` }));
    const turn = (...calls: object[]) => ({ role: 'assistant' as const, tool_calls: calls as never });
    const responses = (contents: ReturnType<typeof contentsOf>) =>
      contents
        .flatMap(({ parts }) => parts.map(({ functionResponse }) => functionResponse))
        .filter((response) => response !== undefined)
        .map(({ name, response }) => [name, response]);
    expect(
      responses(contentsOf([...hi, turn(call('', 'a'), call('', 'b')), ...answered('', '', '')])),
    ).toEqual([
      ['a', { output: 'r0' }],
      ['b', { output: 'r1' }],
      ['b', { output: 'r2' }],
    ]);
    const again = [turn(call('call_0', 'a')), ...answered('call_0'), turn(call('call_0', 'b'))];
    expect(responses(contentsOf([...hi, ...again, ...answered('call_0')]))).toEqual([
      ['a', { output: 'r0' }],
      ['b', { output: 'r0' }],
    ]);
    // A call of an earlier turn that nobody answered is none of this turn's.
    const lost = [turn(call('call_0', 'a')), ...hi, turn(call('call_0', 'b')), ...answered('call_0')];
    expect(responses(contentsOf([...hi, ...lost]))).toEqual([['b', { output: 'r0' }]]);
    // Two messages of the assistant's are one turn.
    const split = [turn(call('call_0', 'a')), turn(call('call_0', 'b')), ...answered('call_0', 'call_0')];
    expect(responses(contentsOf([...hi, ...split]))).toEqual([
      ['a', { output: 'r0' }],
      ['b', { output: 'r1' }],
    ]);
  });

  it('names the message whose arguments are no JSON object, or that answers nothing', () => {
    const broken = [{ role: 'assistant' as const, tool_calls: [call('i', 'f', '{"a":')] }];
    expect(faultOf({ messages: broken })).toBe('invalid_body messages[0].tool_calls[0].function.arguments');
    const lost = [...hi, { role: 'tool' as const, tool_call_id: 'gone', content: 'x' }];
    expect(faultOf({ messages: lost })).toBe('invalid_body messages[1].tool_call_id');
  });

  it('reads results as JSON, as long as that takes nobody’s time', () => {
    const long = (names: number) =>
      `{${Array.from({ length: 30_000 }, (_, at) => `"name_${at % names}":${at}`).join(',')}}`;
    const responseTo = (content: string) => {
      const answered = [...hi, { role: 'function' as const, name: 'f', content }];
      return bodyOf({ messages: answered }).contents.at(-1)?.parts[0]?.functionResponse?.response;
    };
    expect(responseTo(long(100))).toHaveProperty('name_99');
    expect(responseTo(long(30_000))).toEqual({ output: long(30_000) });
  });

  it('gives a result that has references as text: Gemini takes them for the names of media beside it', () => {
    const responseTo = (content: string, fields = {}) => {
      const answered = [...hi, { role: 'function' as const, name: 'f', content, ...fields }];
      return contentsOf(answered).at(-1)?.parts[0]?.functionResponse?.response;
    };
    const schema = '{"a":{"schema":{"$ref":"#/components/schemas/A"}}}';
    expect(responseTo(schema)).toEqual({ output: schema });
    expect(responseTo(schema, { is_error: true })).toEqual({ error: schema });
    expect(responseTo('{"ref":"$ref"}')).toEqual({ output: '{"ref":"$ref"}' });
    expect(responseTo('{"costs":"$refund"}')).toEqual({ costs: '$refund' });
  });

  it('takes the dialect before tools', () => {
    const body = bodyOf({
      messages: [
        ...hi,
        { role: 'assistant', function_call: { name: 'f', arguments: '{"a":1}' } },
        { role: 'function', name: 'f', content: '{"b":2}' },
      ],
      functions: [{ name: 'f', parameters: { type: 'object' } }],
      function_call: { name: 'f' },
    });
    expect(body).toMatchObject({
      contents: [
        { role: 'user', parts: [{ text: 'hi' }] },
        { role: 'model', parts: [{ functionCall: { name: 'f', args: { a: 1 } } }] },
        { role: 'user', parts: [{ functionResponse: { name: 'f', response: { b: 2 } } }] },
      ],
      tools: [{ functionDeclarations: [{ name: 'f', parametersJsonSchema: { type: 'object' } }] }],
      toolConfig: { functionCallingConfig: { mode: 'ANY', allowedFunctionNames: ['f'] } },
    });
  });
});

it('names Gemini’s id in the result of a call in the dialect before tools, though the message has none', () => {
  const contents = contentsOf([
    ...hi,
    {
      role: 'assistant',
      content: null,
      function_call: { name: 'f', arguments: '{}' },
      provider_specific_fields: { parts: [{ functionCall: { name: 'f', id: 'k3' }, thoughtSignature: 's' }] },
    },
    { role: 'function', name: 'f', content: 'x' },
  ]);
  expect(contents.slice(1)).toEqual([
    { role: 'model', parts: [{ functionCall: { name: 'f', id: 'k3' }, thoughtSignature: 's' }] },
    { role: 'user', parts: [{ functionResponse: { id: 'k3', name: 'f', response: { output: 'x' } } }] },
  ]);
});

describe('signatures', () => {
  const signature = 'EucECuQEAb4+9/-_==';
  const ways = [
    { provider_specific_fields: { thought_signature: signature } },
    { extra_content: { google: { thought_signature: signature } } },
  ];

  it.each(ways)('of a call are taken from %j', (fields) => {
    const contents = contentsOf([...hi, { role: 'assistant', tool_calls: [call('i', 'f', '{}', fields)] }]);
    expect(contents[1]?.parts[0]).toEqual({
      functionCall: { name: 'f', args: {}, id: 'i' },
      thoughtSignature: signature,
    });
  });

  it('are those of the gateway’s own field where both are there and differ', () => {
    const fields = { ...ways[0], extra_content: { google: { thought_signature: 'other' } } };
    const contents = contentsOf([
      ...hi,
      { role: 'assistant', content: 'x', tool_calls: [call('i', 'f', '{}', fields)], ...fields },
    ]);
    expect(contents[1]?.parts.map((part) => part.thoughtSignature)).toEqual([signature, signature]);
  });

  it.each([...ways, { provider_specific_fields: { thought_signatures: [signature] } }])(
    'of a text are taken from %j',
    (fields) => {
      const contents = contentsOf([{ role: 'assistant', content: 'x', ...fields }]);
      expect(contents[0]?.parts).toEqual([{ text: 'x', thoughtSignature: signature }]);
    },
  );

  it("stands in for the signature that another provider's call has not, where one is demanded", () => {
    const messages = [
      ...hi,
      { role: 'assistant' as const, tool_calls: [call('toolu_1', 'f'), call('toolu_2', 'g')] },
    ];
    const signatures = (model: string) =>
      contentsOf(messages, model)[1]?.parts.map((part) => part.thoughtSignature);
    expect(signatures('gemini-3-flash-preview')).toEqual([STAND_IN_SIGNATURE, undefined]);
    expect(signatures('gemini-2.5-flash')).toEqual([undefined, undefined]);
  });

  it('stands in for those of a turn that a model of Gemini 3 drew, and the client brings back without', () => {
    const url = 'data:image/png;base64,iVBO';
    const drawn = [{ type: 'image_url', image_url: { url } }];
    const turn = { role: 'assistant' as const, content: 'Here:', images: drawn };
    const signatures = (model: string, more = {}) =>
      contentsOf([{ ...turn, ...more }], model)[0]?.parts.map((part) => part.thoughtSignature);
    expect(signatures('gemini-3-pro-image-preview')).toEqual([STAND_IN_SIGNATURE, STAND_IN_SIGNATURE]);
    expect(signatures('gemini-2.5-flash-image')).toEqual([undefined, undefined]);
    expect(signatures('gemini-3-flash-preview')).toEqual([undefined, undefined]);
    const parts = [
      { content_length: 5, thoughtSignature: 'YQ==' },
      { image_index: 0, thoughtSignature: 'Yg==' },
    ];
    const kept = { provider_specific_fields: { parts } };
    expect(signatures('gemini-3-pro-image-preview', kept)).toEqual(['YQ==', 'Yg==']);
  });
});

describe('tools', () => {
  const tools = [{ type: 'function', function: { name: 'f', strict: true } }];
  const config = (request: Partial<ChatRequest>) =>
    bodyOf({ tools, ...request }).toolConfig?.functionCallingConfig;

  it('declares functions, and passes tools that Google runs itself', () => {
    const raw = { googleMaps: { enableWidget: true } } as unknown as { type: string };
    const body = bodyOf({
      tools: [
        { type: 'google_search' },
        ...tools,
        { type: 'code_execution', code_execution: {} },
        { type: 'file_search', file_search: { file_search_store_names: ['s'] } },
        raw,
      ],
    });
    expect(body.tools).toEqual([
      { functionDeclarations: [{ name: 'f' }] },
      { googleSearch: {} },
      { codeExecution: {} },
      { fileSearch: { file_search_store_names: ['s'] } },
      { googleMaps: { enableWidget: true } },
    ]);
    const search = { web_search_options: { search_context_size: 'medium', user_location: null } };
    expect(bodyOf(search as Partial<ChatRequest>).tools).toEqual([{ googleSearch: {} }]);
    const own = {
      name: 'f',
      strict: true,
      behavior: 'NON_BLOCKING',
      response_json_schema: { type: 'string' },
    };
    expect(bodyOf({ tools: [{ type: 'function', function: own }] }).tools).toEqual([
      {
        functionDeclarations: [
          { name: 'f', behavior: 'NON_BLOCKING', responseJsonSchema: { type: 'string' } },
        ],
      },
    ]);
  });

  it('declares a function’s parameters as the object that Google wants, and none where there are none', () => {
    const declared = (parameters: Record<string, unknown>) =>
      bodyOf({ tools: [{ type: 'function', function: { name: 'f', parameters } }] }).tools?.[0];
    expect(declared({})).toEqual({ functionDeclarations: [{ name: 'f' }] });
    const properties = { a: { type: 'string' } };
    expect(declared({ properties })).toEqual({
      functionDeclarations: [{ name: 'f', parametersJsonSchema: { type: 'object', properties } }],
    });
    expect(declared({ properties: { a: { const: 'x' } } })).toEqual({
      functionDeclarations: [
        {
          name: 'f',
          parametersJsonSchema: { type: 'object', properties: { a: { type: 'string', enum: ['x'] } } },
        },
      ],
    });
  });

  it('lets Gemini 3 use Google’s own tools beside functions, which it does only when told to show them', () => {
    const both = { tools: [{ type: 'function', function: { name: 'f' } }, { type: 'google_search' }] };
    const upstreamModel = 'gemini-3.5-flash';
    const shown = { includeServerSideToolInvocations: true };
    expect(bodyOf(both, { upstreamModel }).toolConfig).toEqual(shown);
    expect(bodyOf({ ...both, tool_choice: 'none' }, { upstreamModel }).toolConfig).toEqual({
      ...shown,
      functionCallingConfig: { mode: 'NONE' },
    });
    const own = { includeServerSideToolInvocations: false };
    expect(bodyOf({ ...both, tool_config: own }, { upstreamModel }).toolConfig).toEqual(own);
    expect(bodyOf({ ...both, tool_config: shown }).toolConfig).toEqual(shown);
    expect(bodyOf(both).toolConfig).toBeUndefined();
    expect(bodyOf({ tools: both.tools.slice(1) }, { upstreamModel }).toolConfig).toBeUndefined();
    expect(bodyOf({ tools: both.tools.slice(0, 1) }, { upstreamModel }).toolConfig).toBeUndefined();
  });

  it.each([
    [undefined, undefined],
    ['auto', { mode: 'AUTO' }],
    ['required', { mode: 'ANY' }],
    ['none', { mode: 'NONE' }],
    [
      { type: 'function', function: { name: 'f' } },
      { mode: 'ANY', allowedFunctionNames: ['f'] },
    ],
    [
      { type: 'allowed_tools', allowed_tools: { mode: 'auto', tools } },
      { mode: 'VALIDATED', allowedFunctionNames: ['f'] },
    ],
    [
      { type: 'allowed_tools', allowed_tools: { mode: 'required', tools } },
      { mode: 'ANY', allowedFunctionNames: ['f'] },
    ],
  ])('tool_choice %j', (choice, expected) => {
    expect(config({ tool_choice: choice as ChatRequest['tool_choice'] })).toEqual(expected);
  });

  it.each([undefined, [], [{ type: 'google_search' }]])(
    'takes no list of allowed functions like %j',
    (list) => {
      const tool_choice = { type: 'allowed_tools', allowed_tools: { mode: 'required', tools: list } };
      expect(faultOf({ tools, tool_choice })).toBe('invalid_body tool_choice.allowed_tools.tools');
    },
  );

  it('sends no mode without functions', () => {
    expect(bodyOf({ tool_choice: 'auto', tools: [{ type: 'google_search' }] }).toolConfig).toBeUndefined();
    expect(faultOf({ tool_choice: 'required' })).toBe('invalid_body tool_choice');
  });

  it('refuses what Gemini cannot do', () => {
    expect(faultOf({ tools: [{ type: 'custom' }] })).toBe('unsupported_parameter tools[0].type');
  });
});

describe('parameters', () => {
  const generationOf = (request: Partial<ChatRequest>, options: Partial<ProviderCall> = {}) =>
    bodyOf(request, options).generationConfig;

  it('translates what Gemini has', () => {
    expect(
      generationOf(
        {
          temperature: 0,
          top_p: 0.5,
          top_k: 3,
          seed: 1,
          n: 2,
          stop: 'x',
          frequency_penalty: 1,
          presence_penalty: -1,
          logprobs: true,
          top_logprobs: 4,
          modalities: ['text', 'image'],
        },
        { maxOutputTokens: 99 },
      ),
    ).toEqual({
      temperature: 0,
      topP: 0.5,
      topK: 3,
      seed: 1,
      candidateCount: 2,
      stopSequences: ['x'],
      frequencyPenalty: 1,
      presencePenalty: -1,
      responseLogprobs: true,
      logprobs: 4,
      responseModalities: ['TEXT', 'IMAGE'],
      maxOutputTokens: 99,
    });
  });

  it.each([
    'gemini-3.6-flash',
    'gemini-3.8-flash',
    'gemini-3.5-flash',
    'gemini-4-argon',
    'gemini-flash-latest',
  ])('has no penalties for %s, which takes none', (upstreamModel) => {
    for (const param of ['frequency_penalty', 'presence_penalty']) {
      expect(faultOf({ [param]: 0.5 }, upstreamModel)).toBe(`unsupported_parameter ${param}`);
      expect(faultOf({ [param]: 0 }, upstreamModel)).toBe('accepted');
      expect(faultOf({ [param]: 0.5 }, 'gemini-3.1-pro-preview')).toBe('accepted');
    }
  });

  it('finds no fault in what says nothing', () => {
    const request = {
      n: 1,
      frequency_penalty: 0,
      presence_penalty: 0,
      logprobs: false,
      logit_bias: {},
      top_logprobs: 0,
      store: false,
      service_tier: 'auto',
      verbosity: 'medium',
      response_format: { type: 'text' as const },
      parallel_tool_calls: true,
      temperature: null,
      prediction: null,
      user: 'u',
      metadata: { a: 'b' },
      prompt_cache_key: 'k',
      prompt_cache_options: { mode: 'explicit' },
      stream_options: { include_usage: true },
      serviceTier: 'standard',
      candidateCount: 1,
      generation_config: { candidate_count: 1 },
    };
    expect(bodyOf(request)).toEqual({ contents: [{ role: 'user', parts: [{ text: 'hi' }] }] });
  });

  it.each([
    ['logit_bias', { logit_bias: { '50256': -100 } }],
    ['store', { store: true }],
    ['service_tier', { service_tier: 'priority' }],
    ['serviceTier', { serviceTier: 'flex' }],
    ['verbosity', { verbosity: 'low' }],
    ['prediction', { prediction: { type: 'content', content: 'x' } }],
    ['audio', { audio: { voice: 'x', format: 'wav' } }],
    ['some_new_field', { some_new_field: 1 }],
    ['contents', { contents: [] }],
    ['extra_body.openai', { extra_body: { openai: {} } }],
    ['extra_body.google.newest', { extra_body: { google: { newest: 1 } } }],
    ['web_search_options.user_location', { web_search_options: { user_location: {} } }],
    ['response_format.type', { response_format: { type: 'grammar' } }],
    ['candidateCount', { candidateCount: 2 }],
    ['generation_config.candidate_count', { generation_config: { candidate_count: 8 } }],
    [
      'tool_config.function_calling_config.stream_function_call_arguments',
      { tool_config: { functionCallingConfig: { streamFunctionCallArguments: true } } },
    ],
    ['messages[0].content[0].type', { messages: [{ role: 'user', content: [{ type: 'hologram' }] }] }],
  ])('%s is refused by name, or dropped and named', (param, request) => {
    const partial = request as Partial<ChatRequest>;
    expect(faultOf(partial)).toBe(`unsupported_parameter ${param}`);
    expect(toGeminiRequest(callFor(partial, { dropUnsupported: true })).droppedParams).toEqual([param]);
  });

  it("takes Gemini's own fields in either spelling, at the top and as Google's OpenAI endpoint does", () => {
    const expected = {
      contents: [{ role: 'user', parts: [{ text: 'hi' }] }],
      safetySettings: [{ category: 'C', threshold: 'T' }],
      cachedContent: 'cachedContents/1',
      generationConfig: { thinkingConfig: { thinking_budget: 5 }, mediaResolution: 'LOW' },
    };
    const snake = {
      safety_settings: expected.safetySettings,
      cached_content: 'cachedContents/1',
      thinking_config: { thinking_budget: 5 },
      media_resolution: 'LOW',
    };
    const { safetySettings, cachedContent, generationConfig } = expected;
    expect(bodyOf(snake)).toEqual(expected);
    expect(bodyOf({ safetySettings, cachedContent, ...generationConfig })).toEqual(expected);
    expect(bodyOf({ safetySettings, cachedContent, generationConfig })).toEqual(expected);
    expect(bodyOf({ extra_body: { google: snake } })).toEqual(expected);
  });

  it('merges a raw tool_config with what tool_choice says', () => {
    const body = bodyOf({
      tools: [{ type: 'function', function: { name: 'f' } }],
      tool_choice: 'required',
      tool_config: { retrieval_config: { languageCode: 'de' } },
    });
    expect(body.toolConfig).toEqual({
      functionCallingConfig: { mode: 'ANY' },
      retrievalConfig: { languageCode: 'de' },
    });
  });

  it('never lets a raw field raise the output limit', () => {
    const limit = (raw: number, maxOutputTokens?: number) =>
      generationOf({ generation_config: { max_output_tokens: raw } }, { maxOutputTokens })?.maxOutputTokens;
    expect([limit(500, 100), limit(50, 100), limit(50)]).toEqual([100, 50, 50]);
  });

  it('asks for JSON, with a schema where there is one', () => {
    const schema = { type: 'object', properties: { a: { $ref: '#/$defs/A' } }, $defs: { A: {} } };
    expect(generationOf({ response_format: { type: 'json_object' } })).toEqual({
      responseMimeType: 'application/json',
    });
    const asked = (given: Record<string, unknown>) =>
      generationOf({
        response_format: {
          type: 'json_schema',
          json_schema: { name: 'n', description: 'd', strict: true, schema: given },
        },
      });
    expect(asked(schema)).toEqual({
      responseMimeType: 'application/json',
      responseJsonSchema: { description: 'd', ...schema },
    });
    expect(asked({ const: 1 })?.responseJsonSchema).toEqual({ description: 'd', type: 'integer', enum: [1] });
  });

  it.each([
    ['gemini-2.5-flash', 'low', { thinkingBudget: 1024, includeThoughts: true }],
    ['gemini-2.5-pro', 'high', { thinkingBudget: 24_576, includeThoughts: true }],
    ['gemini-2.5-flash-lite', 'none', { thinkingBudget: 0 }],
    ['gemini-3-pro-preview', 'low', { thinkingLevel: 'LOW', includeThoughts: true }],
    ['gemini-3-pro-preview', 'medium', { thinkingLevel: 'HIGH', includeThoughts: true }],
    ['gemini-3.1-pro-preview', 'medium', { thinkingLevel: 'MEDIUM', includeThoughts: true }],
    ['gemini-3.5-flash', 'minimal', { thinkingLevel: 'MINIMAL', includeThoughts: true }],
    ['gemini-3.8-flash', 'minimal', { thinkingLevel: 'LOW', includeThoughts: true }],
    ['gemini-flash-latest', 'xhigh', { thinkingLevel: 'HIGH', includeThoughts: true }],
    ['gemini-4-argon', 'xhigh', { thinkingLevel: 'HIGH', includeThoughts: true }],
    ['gemini-4-hydrogen', 'xhigh', { thinkingLevel: 'XHIGH', includeThoughts: true }],
    ['gemini-4-hydrogen', 'max', { thinkingLevel: 'XHIGH', includeThoughts: true }],
    ['gemini-4-hydrogen', 'minimal', { thinkingLevel: 'LOW', includeThoughts: true }],
    ['gemini-2.0-flash', 'none', undefined],
  ])('%s thinks %s as %j', (upstreamModel, effort, thinkingConfig) => {
    expect(generationOf({ reasoning_effort: effort }, { upstreamModel })?.thinkingConfig).toEqual(
      thinkingConfig,
    );
  });

  it.each([
    ['gemini-2.5-pro', 'none'],
    ['gemini-3.8-flash', 'none'],
    ['gemini-2.0-flash', 'low'],
    ['gemini-pro', 'low'],
    ['gemini-2.5-flash', 'frantic'],
  ])('%s cannot think %s', (model, effort) => {
    expect(faultOf({ reasoning_effort: effort }, model)).toBe('unsupported_parameter reasoning_effort');
  });
});

describe('a field that says nothing that can be meant', () => {
  it.each([
    ['top_logprobs', { top_logprobs: 2 }],
    ['modalities', { modalities: [] }],
    ['modalities', { modalities: [7] }],
    ['generation_config.max_output_tokens', { generation_config: { max_output_tokens: 0 } }],
  ])('is an invalid %s: %j', (param, request) => {
    expect(faultOf(request as unknown as Partial<ChatRequest>)).toBe(`invalid_body ${param}`);
  });
});

describe('whatever a client sends', () => {
  const json = fc.jsonValue();
  const id = fc.constantFrom('a', 'b', `${CALL_ID_PREFIX}c`, '');
  const part = fc.oneof(
    fc.record({ type: fc.constant('text'), text: fc.string() }),
    fc.record({
      type: fc.constant('image_url'),
      image_url: fc.record({ url: fc.oneof(fc.webUrl(), fc.string()) }),
    }),
    fc.record({
      type: fc.constantFrom('file', 'input_audio', 'video_url', 'x'),
      file: json,
      input_audio: json,
    }),
  );
  const content = fc.oneof(fc.string(), fc.constant(null), fc.array(part, { maxLength: 3 }));
  const toolCall = fc.record({
    id,
    type: fc.constant('function'),
    function: fc.record({
      name: fc.string(),
      arguments: fc.oneof(
        fc.string(),
        json.map((value) => JSON.stringify(value)),
      ),
    }),
    provider_specific_fields: json,
    extra_content: json,
  });
  const entry = fc.oneof(
    fc.record({ content_length: fc.oneof(fc.nat(9), json), thoughtSignature: fc.string() }),
    fc.record({ reasoning_length: fc.nat(9) }),
    fc.record({ tool_call_index: fc.integer({ min: -2, max: 3 }) }),
    fc.dictionary(fc.string(), json),
  );
  const message = fc.record(
    {
      role: fc.constantFrom('system', 'developer', 'user', 'assistant', 'tool', 'function'),
      content,
      name: fc.string(),
      tool_calls: fc.array(toolCall, { maxLength: 3 }),
      tool_call_id: id,
      reasoning_content: fc.string(),
      images: json,
      provider_specific_fields: fc.oneof(json, fc.record({ parts: fc.array(entry, { maxLength: 4 }) })),
    },
    { requiredKeys: ['role'] },
  );
  const request = fc.record(
    {
      model: fc.constant('g'),
      messages: fc.array(message, { maxLength: 5 }),
      tools: fc.array(
        fc.oneof(
          fc.constant({ type: 'function', function: { name: 'f' } }),
          fc.dictionary(fc.string(), json),
        ),
        { maxLength: 3 },
      ),
      tool_choice: json,
      response_format: json,
      reasoning_effort: fc.string(),
      extra_body: json,
      generation_config: json,
      modalities: json,
      web_search_options: json,
      safety_settings: json,
    },
    { requiredKeys: ['model', 'messages'] },
  );

  it('gives a request or a GatewayError, and never changes what it was given', () => {
    fc.assert(
      fc.property(request, fc.boolean(), (generated, dropUnsupported) => {
        const before = structuredClone(generated);
        try {
          const { body } = toGeminiRequest(callFor(generated as unknown as ChatRequest, { dropUnsupported }));
          expect(body.contents.length).toBeGreaterThan(0);
          expect(body.contents.every(({ parts }) => parts.length > 0)).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(GatewayError);
        }
        expect(generated).toEqual(before);
      }),
      { numRuns: 1000 },
    );
  });
});
