import assert from 'node:assert/strict';
import { type ChatRequest, GatewayError, type ProviderCall } from '@app/contracts';
import fc from 'fast-check';
import type { FuzzTarget } from '../fuzz-target.js';
import { deepFreeze } from '../hostile-json.js';

const WINDOW = 1_000_000;

/** Whatever the translators put on a wire, read there, without the code that bounds it. */
export const HELD_INPUT: FuzzTarget = {
  name: 'held-input',
  promise: 'what of a request reaches a vendor, texts and media in whatever form, is in what is held for it',
  shortRuns: 1_500,
  async property() {
    const { toChatRequest } = await import('../../../src/completions/request/to-chat-request.js');
    const { boundInput } = await import('../../../src/billing/quote/input-bound.js');
    const wires = await loadWires();
    return fc.property(request(), fc.constantFrom(...wires), (body, { upstreamModel, translate, least }) => {
      const sent = unlessRefused(() => {
        const taken = deepFreeze(toChatRequest(body));
        return { request: taken, wire: translate(callOf(taken, upstreamModel)) };
      });
      if (!sent) return;
      const bound = boundInput(sent.request, upstreamModel, WINDOW);
      const { textBytes, overheadTokens, audioTokens, imageTokens, documentTokens } = bound;
      const held = textBytes + overheadTokens + audioTokens + imageTokens + documentTokens;
      const wire: unknown = JSON.parse(JSON.stringify(sent.wire));
      const tokens = least(wire);
      assert.ok(held >= tokens, `${held} held of ${tokens}: ${JSON.stringify(wire)}`);
    });
  },
};

interface Wire {
  readonly upstreamModel: string;
  readonly translate: (call: ProviderCall) => unknown;
  /** Tokens that the vendor would bill at least. */
  readonly least: (wire: unknown) => number;
}

async function loadWires(): Promise<readonly Wire[]> {
  const { toGeminiRequest } = await import('../../../src/providers/google/google.request.js');
  const { toAnthropicRequest } = await import('../../../src/providers/anthropic/anthropic.request.js');
  const { toResponsesRequest } = await import('../../../src/providers/openai/responses.request.js');
  const { toWireRequest } =
    await import('../../../src/providers/openai-compatible/openai-compatible.request.js');
  const { compatibleDialect } =
    await import('../../../src/providers/openai-compatible/openai-compatible.dialect.js');
  const dialect = compatibleDialect('local');
  return [
    {
      upstreamModel: 'gemini-3-flash',
      translate: (call) => toGeminiRequest(call).body,
      least: (wire) => leastOf(wire, ['contents', 'systemInstruction', 'cachedContent'], geminiMedia),
    },
    {
      upstreamModel: 'claude-sonnet-5',
      translate: (call) => toAnthropicRequest(call, false).body,
      least: (wire) => leastOf(wire, ['messages', 'system'], anthropicMedia),
    },
    {
      upstreamModel: 'gpt-5',
      translate: (call) => toResponsesRequest(call, false).body,
      least: (wire) => leastOf(wire, ['input'], openAiMedia),
    },
    {
      upstreamModel: 'local',
      translate: (call) => toWireRequest(call, dialect, false),
      least: (wire) => leastOf(wire, ['messages', 'documents'], openAiMedia),
    },
  ];
}

function unlessRefused<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    if (error instanceof GatewayError) return undefined;
    throw error;
  }
}

function callOf(taken: ChatRequest, upstreamModel: string): ProviderCall {
  return {
    request: taken,
    upstreamModel,
    clientModel: taken.model,
    maxOutputTokens: 128,
    requestId: 'request-1',
    signal: new AbortController().signal,
    dropUnsupported: true,
  };
}

// What stands on a wire.

type Fields = Readonly<Record<string, unknown>>;
/** @returns tokens of an object that is media, or `undefined` */
type MediaOf = (object: Fields) => number | undefined;

const PICTURE = 3_700;

function leastOf(wire: unknown, fields: readonly string[], mediaOf: MediaOf): number {
  const body = wire as Fields;
  return fields.reduce((sum, field) => sum + tokensIn(body[field], mediaOf), 0);
}

/** Values alone: what they are called is the vendor's. What a tool was told is text, whatever it looks like. */
function tokensIn(value: unknown, mediaOf: MediaOf): number {
  if (typeof value === 'string') return isNoText(value) ? 0 : Buffer.byteLength(value);
  if (typeof value !== 'object' || value === null) return 0;
  const isTold = (key: string) => key === 'input' || key === 'args';
  const inside = () =>
    Object.entries(value).map(([key, each]) => tokensIn(each, isTold(key) ? () => undefined : mediaOf));
  return mediaOf(value as Fields) ?? inside().reduce((sum, tokens) => sum + tokens, 0);
}

/** Roles, types and ids are in the overhead; media of one vendor are nothing to another, who refuses them. */
function isNoText(value: string): boolean {
  return /^\w{0,40}$/.test(value) || value.includes(DATA);
}

function geminiMedia({ inlineData, fileData }: Fields): number | undefined {
  const file = fileData as Fields | undefined;
  const inline = inlineData as Fields | undefined;
  if (file) return isNamedPicture(String(file['fileUri']), String(file['mimeType'])) ? PICTURE : WINDOW;
  return inline && byValue(String(inline['mimeType']), String(inline['data']));
}

/** Google knows what its own films are. */
function isNamedPicture(uri: string, mimeType: string): boolean {
  return mimeType.startsWith('image/') && !/youtu/i.test(uri);
}

function anthropicMedia({ type, source }: Fields): number | undefined {
  const { type: kind, media_type: mediaType, data, url, file_id: id } = (source ?? {}) as Fields;
  if (type === 'image') return PICTURE;
  if (type !== 'document') return undefined;
  if (url || id) return WINDOW;
  return kind === 'base64' ? byValue(String(mediaType), String(data)) : undefined;
}

function openAiMedia(part: Fields): number | undefined {
  const { type, image_url: image, input_audio: sound, file } = part;
  if (type === 'image') return PICTURE;
  if (type === 'image_url' || type === 'input_image') return image || part['file_id'] ? PICTURE : undefined;
  if (type === 'input_audio') return byValue('audio/x', String((sound as Fields | undefined)?.['data']));
  if (type === 'file' || type === 'input_file')
    return fileTokens({ ...part, ...(file as Fields | undefined) });
  return type === 'video_url' || type === 'audio_url' ? linkTokens(part[type]) : undefined;
}

function fileTokens({ file_id: id, file_url: url, file_data: data }: Fields): number {
  return id || url ? WINDOW : byValue('application/pdf', String(data ?? ''));
}

function linkTokens(link: unknown): number {
  const url = String(typeof link === 'object' && link !== null ? (link as Fields)['url'] : link);
  return /^data:/i.test(url) ? byValue('application/x', url) : WINDOW;
}

function byValue(type: string, base64: string): number {
  if (type.startsWith('image/')) return PICTURE;
  if (type.startsWith('video/')) return WINDOW;
  // A second of PCM, or a page's text.
  return type.startsWith('audio/') ? (base64.length * 0.75 * 32) / 8_000 : base64.length * 0.75;
}

// What clients send.

const DATA = 'QUJD'.repeat(600);
const SIGNATURE = 'c2ln'.repeat(60);
const TYPES = ['image/png', 'application/pdf', 'text/plain', 'audio/wav', 'audio/mpeg', 'video/mp4', ''];
const ENDINGS = ['', '.png', '.JPG', '.pdf', '.mp4', '.wav', '.php', '/'];

const dataUrl = () =>
  fc
    .tuple(fc.constantFrom('data:', 'DATA:', 'data: '), fc.constantFrom(...TYPES))
    .map(([scheme, type]) => `${scheme}${type};base64,${DATA}`);
const address = () =>
  fc
    .tuple(
      fc.constantFrom('https://a.example', 'https://www.youtube.com', 'gs://bucket', 'HTTP://u@youtu.be:80'),
      fc.constantFrom('/x', '/x.y/z'),
      fc.constantFrom(...ENDINGS),
      fc.constantFrom('', '?a=b.png', '#c.pdf'),
    )
    .map((pieces) => pieces.join(''));
const url = () => fc.oneof(dataUrl(), address());
const id = () => fc.constantFrom('file-1', 'files/abc', 'gs://bucket/x.pdf', '', null);
const hint = () =>
  fc.record(
    { mime_type: fc.constantFrom(...TYPES, null, 5), format: fc.constantFrom(...TYPES, 'png', 'wav', 'mp4') },
    { requiredKeys: [] },
  );
const some = <T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record(fields, { requiredKeys: [] });
const merged = (...all: fc.Arbitrary<object>[]): fc.Arbitrary<object> =>
  fc.tuple(...all).map((parts): object => Object.assign({}, ...parts) as object);
const typed = (type: string, rest: fc.Arbitrary<object>) => rest.map((fields) => ({ type, ...fields }));

const link = (name: string) =>
  fc
    .oneof(url(), merged(fc.record({ url: url() }), hint()))
    .map((value): Fields => ({ type: name, [name]: value }));
const file = () =>
  merged(
    some({
      file_data: fc.oneof(dataUrl(), fc.constantFrom(DATA, '')),
      file_id: id(),
      file_url: fc.oneof(address(), fc.constant('')),
      filename: fc.constantFrom('a.pdf', 'a.mp4', 'a.txt', 'a'),
    }),
    hint(),
  );
const source = () =>
  some({
    type: fc.constantFrom('base64', 'url', 'file', 'text', 'content'),
    media_type: fc.constantFrom(...TYPES),
    data: fc.constantFrom(DATA, ''),
    url: fc.oneof(address(), fc.constant('')),
    file_id: id(),
    content: fc.constant([{ type: 'text', text: 'x'.repeat(50) }]),
  });

const media = (): fc.Arbitrary<object> =>
  fc.oneof(
    link('image_url'),
    link('video_url'),
    link('audio_url'),
    typed(
      'input_audio',
      fc.record({
        input_audio: fc.record({
          data: fc.oneof(url(), fc.constant(DATA)),
          format: fc.constantFrom('wav', 'mp3', 'pcm16'),
        }),
      }),
    ),
    typed('file', merged(fc.record({ file: file() }), some({ file_id: id() }))),
    typed('input_file', file()),
    typed('input_image', some({ image_url: url(), file_id: id() })),
    typed('image', fc.record({ source: source() })),
    typed('document', fc.record({ source: source(), title: fc.constant('t'.repeat(50)) })),
    fc.record({ inlineData: fc.record({ mimeType: fc.constantFrom(...TYPES), data: fc.constant(DATA) }) }),
    fc.record({ fileData: fc.record({ fileUri: address(), mimeType: fc.constantFrom(...TYPES) }) }),
  );
const text = () => fc.constantFrom('', 'words and words', '日本語'.repeat(20), '\u0001\n"'.repeat(20));
const part = (): fc.Arbitrary<object> =>
  fc.oneof(
    media(),
    typed('text', fc.record({ text: text() })),
    typed('thinking', fc.record({ thinking: text(), signature: fc.constant(SIGNATURE) })),
    typed('tool_use', fc.record({ id: fc.constant('t'), name: fc.constant('f'), input: media() })),
    typed('tool_result', fc.record({ tool_use_id: fc.constant('t'), content: fc.array(media()) })),
    typed('search_result', fc.record({ source: address(), title: text(), content: fc.constant([]) })),
  );

const call = () =>
  fc.record(
    {
      id: fc.constant('call_1'),
      type: fc.constant('function'),
      function: fc.record({
        name: fc.constant('f'),
        arguments: text().map((value) => JSON.stringify({ value })),
      }),
      provider_specific_fields: some({
        thought_signature: fc.constant(SIGNATURE),
        part: media(),
        function_call: media(),
      }),
    },
    { requiredKeys: ['id', 'type', 'function'] },
  );
const assistant = () =>
  fc.record(
    {
      role: fc.constant('assistant'),
      content: fc.oneof(fc.constant(null), text(), fc.array(part(), { maxLength: 2 })),
      refusal: text(),
      reasoning_content: text(),
      reasoning: text(),
      tool_calls: fc.array(call(), { maxLength: 1 }),
      images: fc.array(link('image_url'), { maxLength: 2 }),
      thinking_blocks: fc.array(
        fc.record({ type: fc.constant('thinking'), thinking: text(), signature: fc.constant(SIGNATURE) }),
        { maxLength: 2 },
      ),
      provider_specific_fields: some({
        parts: fc.array(part(), { maxLength: 2 }),
        anthropic_content: fc.array(part(), { maxLength: 2 }),
        thinking_blocks: fc.array(part(), { maxLength: 2 }),
        response_output: fc.array(
          fc.oneof(
            typed('function_call_output', fc.record({ output: fc.array(part(), { maxLength: 2 }) })),
            fc.record({ role: fc.constant('user'), content: fc.array(part(), { maxLength: 2 }) }),
          ),
          { maxLength: 2 },
        ),
      }),
    },
    { requiredKeys: ['role', 'content'] },
  );
const message = (): fc.Arbitrary<object> =>
  fc.oneof(
    assistant(),
    fc.record(
      {
        role: fc.constantFrom('user', 'system', 'developer'),
        content: fc.oneof(text(), fc.array(part(), { maxLength: 3 })),
        name: fc.constantFrom('alice', 'b'.repeat(60)),
      },
      { requiredKeys: ['role', 'content'] },
    ),
    fc.record({
      role: fc.constant('tool'),
      tool_call_id: fc.constant('call_1'),
      name: fc.constant('f'),
      content: fc.oneof(text(), fc.array(part(), { maxLength: 2 })),
    }),
  );
const request = (): fc.Arbitrary<object> =>
  fc.record(
    {
      model: fc.constant('m'),
      messages: fc.array(message(), { minLength: 1, maxLength: 3 }),
      cached_content: fc.constant('cachedContents/abc'),
      documents: fc.array(fc.record({ text: text() }), { maxLength: 2 }),
    },
    { requiredKeys: ['model', 'messages'] },
  );
