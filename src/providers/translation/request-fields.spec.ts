import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type ChatMessage, type ChatRequest, GatewayError, type ProviderCall } from '@app/contracts';
import { describe, expect, it } from 'vitest';
import { toAnthropicRequest } from '../anthropic/anthropic.request.js';
import { toGeminiRequest } from '../google/google.request.js';
import { toResponsesRequest } from '../openai/responses.request.js';
import { compatibleDialect } from '../openai-compatible/openai-compatible.dialect.js';
import { toWireRequest } from '../openai-compatible/openai-compatible.request.js';

type Translated = { body: object; droppedParams: readonly string[] };

const VENDORS: Readonly<Record<string, (call: ProviderCall) => Translated>> = {
  anthropic: (call) => toAnthropicRequest({ ...call, upstreamModel: 'claude-sonnet-4-5' }, false),
  // Some are honoured by what the answer is read with.
  google: (call) => {
    const { droppedParams, ...body } = toGeminiRequest({ ...call, upstreamModel: 'gemini-2.5-flash' });
    return { body, droppedParams };
  },
  responses: (call) => toResponsesRequest({ ...call, upstreamModel: 'gpt-5-pro' }, false),
  compatible: (call) => ({ body: toWireRequest(call, compatibleDialect('x'), false), droppedParams: [] }),
};

/** What becomes of a field: it is in the vendor's request, refused by name, or without effect, which is written down. */
type Fate = 'mapped' | 'refused' | 'nothing';
type Fates = readonly [anthropic: Fate, google: Fate, responses: Fate, compatible: Fate];

const FUNCTION = { name: 'f', parameters: { type: 'object', properties: {} } };
const TOOLS = { tools: [{ type: 'function', function: FUNCTION }] };
const FUNCTIONS = { functions: [FUNCTION] };

interface Sample {
  readonly value: unknown;
  /** Without these the field means nothing. */
  readonly beside?: Partial<ChatRequest>;
  readonly fates: Fates;
}

const everywhere = (value: unknown, beside: Partial<ChatRequest> = {}): Sample => ({
  value,
  beside,
  fates: ['mapped', 'mapped', 'mapped', 'mapped'],
});
const sample = (value: unknown, fates: Fates, beside: Partial<ChatRequest> = {}): Sample => ({
  value,
  beside,
  fates,
});

/** The limit is the gateway's to set, and whether to stream the caller's. */
const GATEWAYS = new Set([
  'model',
  'messages',
  'max_tokens',
  'max_completion_tokens',
  'stream',
  'stream_options',
]);

const SAMPLES: Readonly<Record<string, Sample>> = {
  audio: sample({ voice: 'alloy', format: 'mp3' }, ['refused', 'refused', 'refused', 'mapped']),
  frequency_penalty: sample(1, ['refused', 'mapped', 'refused', 'mapped']),
  function_call: sample({ name: 'f' }, ['mapped', 'mapped', 'refused', 'mapped'], FUNCTIONS),
  functions: sample([FUNCTION], ['mapped', 'mapped', 'refused', 'mapped']),
  logit_bias: sample({ '5': 1 }, ['refused', 'refused', 'refused', 'mapped']),
  logprobs: sample(true, ['refused', 'mapped', 'mapped', 'mapped']),
  metadata: sample({ a: 'b' }, ['nothing', 'nothing', 'mapped', 'mapped']),
  modalities: sample(['text', 'audio'], ['refused', 'mapped', 'refused', 'mapped']),
  moderation: sample({ model: 'x' }, ['refused', 'refused', 'mapped', 'mapped']),
  n: sample(2, ['refused', 'mapped', 'refused', 'mapped']),
  parallel_tool_calls: everywhere(false, TOOLS),
  prediction: sample({ type: 'content', content: 'x' }, ['refused', 'refused', 'refused', 'mapped']),
  presence_penalty: sample(1, ['refused', 'mapped', 'refused', 'mapped']),
  prompt_cache_key: sample('k', ['nothing', 'nothing', 'mapped', 'mapped']),
  prompt_cache_options: sample({ mode: 'explicit' }, ['nothing', 'nothing', 'mapped', 'mapped']),
  prompt_cache_retention: sample('24h', ['nothing', 'nothing', 'mapped', 'mapped']),
  reasoning_effort: everywhere('low'),
  response_format: everywhere({
    type: 'json_schema',
    json_schema: { name: 'x', schema: { type: 'object' } },
  }),
  safety_identifier: sample('u', ['mapped', 'nothing', 'mapped', 'mapped']),
  seed: sample(1, ['refused', 'mapped', 'refused', 'mapped']),
  // At OpenAI and servers of its dialect this and others are taken out before the translation, see closed-params.spec.ts.
  service_tier: sample('flex', ['refused', 'refused', 'mapped', 'mapped']),
  stop: sample(['x'], ['mapped', 'mapped', 'refused', 'mapped']),
  store: sample(true, ['refused', 'refused', 'mapped', 'mapped']),
  temperature: everywhere(0.5),
  tool_choice: everywhere('required', TOOLS),
  tools: everywhere(TOOLS.tools),
  top_logprobs: sample(2, ['refused', 'mapped', 'mapped', 'mapped'], { logprobs: true }),
  top_p: everywhere(0.5),
  user: sample('u', ['mapped', 'nothing', 'mapped', 'mapped']),
  verbosity: sample('low', ['refused', 'refused', 'mapped', 'mapped']),
  web_search_options: everywhere({}),
};

const PDF = 'data:application/pdf;base64,JVBERg==';
const imageAt = (url: string) => ({ type: 'image_url', image_url: { url } });
const audio = () => ({ type: 'input_audio', input_audio: { data: 'AA==', format: 'wav' } });
const fileOf = (file: object) => ({ type: 'file', file });
const everyFate = (fate: Fate): Fates => [fate, fate, fate, fate];

const hello: ChatMessage = { role: 'user', content: 'hello' };

function callOf(fields: Partial<ChatRequest>, dropUnsupported: boolean): ProviderCall {
  return {
    request: { model: 'asked', messages: [hello], ...fields },
    upstreamModel: 'asked',
    clientModel: 'asked',
    maxOutputTokens: 4000,
    requestId: 'r',
    signal: new AbortController().signal,
    dropUnsupported,
  };
}

/** @returns the fate, or the field that was refused instead */
function fateOf(vendor: string, name: string, fields: Partial<ChatRequest>, without: Partial<ChatRequest>) {
  const translate = VENDORS[vendor]!;
  try {
    const { body } = translate(callOf(fields, false));
    // Fields beside it may be refused by themselves: then there is nothing to compare with but what is left of them.
    const before = translate(callOf(without, true)).body;
    return JSON.stringify(body) === JSON.stringify(before) ? 'nothing' : 'mapped';
  } catch (error) {
    if (!(error instanceof GatewayError) || error.code !== 'unsupported_parameter') throw error;
    const { droppedParams } = translate(callOf(fields, true));
    return droppedParams.some((param) => param.split(/[.[]/)[0] === name) ? 'refused' : String(error.param);
  }
}

/** The fields of a type in OpenAI's own SDK. */
function fieldsOfTheSdk(name = 'ChatCompletionCreateParamsBase'): string[] {
  const require = createRequire(import.meta.url);
  const types = require.resolve('openai/resources/chat/completions/completions').replace(/\.m?js$/, '.d.ts');
  const text = readFileSync(types, 'utf8').replace(/\/\*[^]*?\*\//g, '');
  const start = text.indexOf(`export interface ${name} {`);
  const body = text.slice(start, text.indexOf('\n}', start));
  return [...body.matchAll(/^ {4}(\w+)\??:/gm)].map(([, name]) => name ?? '');
}

describe('fields of a request', () => {
  it('are all those of OpenAI’s SDK: a new one has to be decided about', () => {
    const fields = fieldsOfTheSdk();
    expect(fields.length).toBeGreaterThan(30);
    expect(fields.filter((name) => !GATEWAYS.has(name)).sort()).toEqual(Object.keys(SAMPLES).sort());
  });

  describe.each(Object.entries(SAMPLES))('%s', (name, { value, beside = {}, fates }) => {
    it.each(Object.keys(VENDORS).map((vendor, at) => [vendor, fates[at]] as const))(
      '%s: %s',
      (vendor, fate) => {
        expect(fateOf(vendor, name, { ...beside, [name]: value }, beside)).toBe(fate);
      },
    );
  });
});

/** Parts of a content, by whose message they stand in. */
const PARTS: readonly (readonly [name: string, role: 'user' | 'assistant', part: object, fates: Fates])[] = [
  ['text', 'user', { type: 'text', text: 'x' }, ['mapped', 'mapped', 'mapped', 'mapped']],
  ['an image by address', 'user', imageAt('https://e.org/a.png'), ['mapped', 'mapped', 'mapped', 'mapped']],
  [
    'an image by value',
    'user',
    imageAt('data:image/png;base64,AA'),
    ['mapped', 'mapped', 'mapped', 'mapped'],
  ],
  ['audio', 'user', audio(), ['refused', 'mapped', 'refused', 'mapped']],
  ['a file by value', 'user', fileOf({ file_data: PDF }), ['mapped', 'mapped', 'mapped', 'mapped']],
  ['a file by id', 'user', fileOf({ file_id: 'file-1' }), ['mapped', 'mapped', 'mapped', 'mapped']],
  ['a file by address', 'user', fileOf({ file_url: 'https://e.org/a.pdf' }), everyFate('mapped')],
  ['a refusal', 'assistant', { type: 'refusal', refusal: 'No.' }, everyFate('mapped')],
  ['a part of tomorrow', 'user', { type: 'hologram' }, ['refused', 'refused', 'mapped', 'mapped']],
];

describe('parts of a content', () => {
  describe.each(PARTS)('%s of the %s', (_name, role, part, fates) => {
    it.each(Object.keys(VENDORS).map((vendor, at) => [vendor, fates[at]] as const))(
      '%s: %s',
      (vendor, fate) => {
        const said = (content: unknown[]) => ({ messages: [hello, { role, content } as ChatMessage, hello] });
        const words = { type: 'text', text: 'words' };
        expect(fateOf(vendor, 'messages', said([words, part]), said([words]))).toBe(fate);
      },
    );
  });
});

/** What may stand in a part, beside what it is. */
const PART_FIELDS: readonly (readonly [name: string, without: object, part: object, fates: Fates])[] = [
  ...[{ type: 'text', text: 'x' }, imageAt('https://e.org/a.png'), fileOf({ file_data: PDF })].map(
    (part): (typeof PART_FIELDS)[number] => [
      `prompt_cache_breakpoint (${part.type})`,
      part,
      { ...part, prompt_cache_breakpoint: { mode: 'explicit' } },
      ['nothing', 'nothing', 'mapped', 'mapped'],
    ],
  ),
  [
    'image_url.detail',
    imageAt('https://e.org/a.png'),
    { type: 'image_url', image_url: { url: 'https://e.org/a.png', detail: 'high' } },
    ['nothing', 'nothing', 'mapped', 'mapped'],
  ],
  [
    'file.filename',
    fileOf({ file_data: PDF }),
    fileOf({ file_data: PDF, filename: 'a.pdf' }),
    ['mapped', 'nothing', 'mapped', 'mapped'],
  ],
];

describe('fields of a part', () => {
  describe.each(PART_FIELDS)('%s', (_name, without, part, fates) => {
    it.each(Object.keys(VENDORS).map((vendor, at) => [vendor, fates[at]] as const))(
      '%s: %s',
      (vendor, fate) => {
        const said = (content: object) => ({
          messages: [{ role: 'user', content: [content] } as ChatMessage],
        });
        expect(fateOf(vendor, 'messages', said(part), said(without))).toBe(fate);
      },
    );
  });
});

const CALL = { id: 'c1', type: 'function' as const, function: { name: 'f', arguments: '{"a":1}' } };
const CUSTOM = { id: 'c2', type: 'custom', custom: { name: 'g', input: 'x' } };
const called: ChatMessage = { role: 'assistant', content: null, tool_calls: [{ ...CALL, id: 'c0' }, CALL] };

/** Fields of a message, with what it is put into, which is there without it, too. */
const MESSAGE_FIELDS: Readonly<
  Record<string, Readonly<Record<string, readonly [base: ChatMessage[], value: unknown, fates: Fates]>>>
> = {
  ChatCompletionDeveloperMessageParam: {
    name: [[{ role: 'developer', content: 'Be brief.' }], 'n', everyFate('mapped')],
  },
  ChatCompletionSystemMessageParam: {
    name: [[{ role: 'system', content: 'Be brief.' }], 'n', everyFate('mapped')],
  },
  ChatCompletionUserMessageParam: {
    name: [[{ role: 'user', content: 'Hi' }], 'n', everyFate('mapped')],
  },
  ChatCompletionAssistantMessageParam: {
    name: [[{ role: 'assistant', content: 'Hi' }], 'n', ['nothing', 'nothing', 'nothing', 'mapped']],
    audio: [[{ role: 'assistant', content: 'Hi' }], { id: 'a' }, ['refused', 'refused', 'refused', 'mapped']],
    function_call: [
      [{ role: 'assistant', content: 'Hi' }],
      CALL.function,
      ['mapped', 'mapped', 'refused', 'mapped'],
    ],
    refusal: [[{ role: 'assistant', content: null }], 'No.', everyFate('mapped')],
    tool_calls: [[{ role: 'assistant', content: 'Hi' }], [CALL], everyFate('mapped')],
    'tool_calls custom': [
      [{ role: 'assistant', content: 'Hi' }],
      [CUSTOM],
      ['refused', 'refused', 'mapped', 'mapped'],
    ],
  },
  ChatCompletionToolMessageParam: {
    tool_call_id: [[called, { role: 'tool', tool_call_id: 'c0', content: '1' }], 'c1', everyFate('mapped')],
  },
};

describe('fields of a message', () => {
  it.each(Object.entries(MESSAGE_FIELDS))('%s has no others', (type, fields) => {
    const known = new Set(['role', 'content', ...Object.keys(fields).map((name) => name.split(' ')[0])]);
    expect(new Set(fieldsOfTheSdk(type))).toEqual(known);
  });

  describe.each(
    Object.entries(MESSAGE_FIELDS).flatMap(([type, fields]) =>
      Object.entries(fields).map(([name, field]) => [type, name, field] as const),
    ),
  )('%s: %s', (_type, name, [base, value, fates]) => {
    it.each(Object.keys(VENDORS).map((vendor, at) => [vendor, fates[at]] as const))(
      '%s: %s',
      (vendor, fate) => {
        const last = { ...base.at(-1)!, [name.split(' ')[0]!]: value } as ChatMessage;
        expect(
          fateOf(
            vendor,
            'messages',
            { messages: [hello, ...base.slice(0, -1), last, hello] },
            { messages: [hello, ...base, hello] },
          ),
        ).toBe(fate);
      },
    );
  });
});

const CUSTOM_TOOL = { type: 'custom', custom: { name: 'g', format: { type: 'text' } } };
const chosen = (tool_choice: unknown, ...fates: Fate[]) => [tool_choice, fates as unknown as Fates] as const;

describe('tools and the choice between them', () => {
  it.each(Object.keys(VENDORS))('%s: what OpenAI’s own are', (vendor) => {
    const fate = fateOf(vendor, 'tools', { tools: [...TOOLS.tools, CUSTOM_TOOL] }, TOOLS);
    expect(fate).toBe({ anthropic: 'refused', google: 'refused' }[vendor] ?? 'mapped');
    for (const [field, value] of Object.entries({
      description: 'd',
      strict: true,
      parameters: { type: 'object', properties: { a: {} } },
    })) {
      const tools = [{ type: 'function', function: { ...FUNCTION, [field]: value } }];
      const isNothing = vendor === 'google' && field === 'strict';
      expect([field, fateOf(vendor, 'tools', { tools }, TOOLS)]).toEqual([
        field,
        isNothing ? 'nothing' : 'mapped',
      ]);
    }
  });

  describe.each([
    chosen('none', 'mapped', 'mapped', 'mapped', 'mapped'),
    chosen('auto', 'mapped', 'mapped', 'mapped', 'mapped'),
    chosen('required', 'mapped', 'mapped', 'mapped', 'mapped'),
    chosen({ type: 'function', function: { name: 'f' } }, 'mapped', 'mapped', 'mapped', 'mapped'),
    chosen(
      { type: 'allowed_tools', allowed_tools: { mode: 'required', tools: TOOLS.tools } },
      'mapped',
      'mapped',
      'mapped',
      'mapped',
    ),
    chosen({ type: 'custom', custom: { name: 'f' } }, 'refused', 'refused', 'mapped', 'mapped'),
  ])('%j', (tool_choice, fates) => {
    it.each(Object.keys(VENDORS).map((vendor, at) => [vendor, fates[at]] as const))(
      '%s: %s',
      (vendor, fate) => {
        expect(fateOf(vendor, 'tool_choice', { ...TOOLS, tool_choice } as Partial<ChatRequest>, TOOLS)).toBe(
          fate,
        );
      },
    );
  });
});
