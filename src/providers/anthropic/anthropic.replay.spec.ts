import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { ChatChunk, ChatCompletion, ProviderCall, ProviderStrategy } from '@app/contracts';
import { ProviderError } from '@app/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { closeLightFetch, createLightFetch } from '../http/light-fetch.js';
import { toAnthropicRequest } from './anthropic.request.js';
import { isObject, isThinking, type JsonObject, textOf, type WireBlock } from './anthropic.wire.js';
import { canonical } from './fixtures/canonical-request.js';
import { foldChunks } from './fixtures/fold-chunks.js';
import { ReplayServer } from './fixtures/replay-server.js';
import { toOpenAiDialect } from './fixtures/to-openai-dialect.js';
import { ANTHROPIC } from './index.js';

/**
 * Recorded exchanges, replayed through the real strategy over real HTTP: our own in `fixtures/`, and those of the
 * folder that PROVIDER_TRAFFIC_DIR names (`<folder>/anthropic/*.json`), in the same form.
 */
interface Exchange {
  readonly name: string;
  readonly request: JsonObject;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
  readonly sse: string | undefined;
}

const FIXTURES = path.join(import.meta.dirname, 'fixtures');

function exchangesIn(folder: string): Exchange[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .flatMap((name) => toExchange(name, JSON.parse(readFileSync(path.join(folder, name), 'utf8'))));
}

function toExchange(name: string, file: unknown): Exchange[] {
  if (!isObject(file) || file.api !== 'messages' || !isObject(file.request) || !isObject(file.response))
    return [];
  const { body, sse, status, headers } = file.response;
  const request = isObject(file.request.body) ? file.request.body : {};
  const sent = Object.entries(isObject(headers) ? headers : {}).map(([key, value]) => [key, String(value)]);
  return [
    {
      name: name.replace('.json', ''),
      request,
      status: Number(status),
      headers: Object.fromEntries(sent),
      body,
      sse: typeof sse === 'string' ? sse : undefined,
    },
  ];
}

const traffic = process.env.PROVIDER_TRAFFIC_DIR;
const EXCHANGES = [
  ...exchangesIn(FIXTURES),
  ...(traffic ? exchangesIn(path.join(traffic, 'anthropic')) : []),
];
const SUCCESSES = EXCHANGES.filter(({ status, sse }) => status === 200 && !sse?.includes('event: error'));
const FAILURES = EXCHANGES.filter((exchange) => !SUCCESSES.includes(exchange));

const server = new ReplayServer();
const fetch = createLightFetch();
let strategy: ProviderStrategy;

beforeAll(async () => {
  const baseUrl = await server.start();
  strategy = await ANTHROPIC.create({ baseUrl, apiKey: 'test-key' }, { fetch });
});

afterAll(async () => {
  await closeLightFetch(fetch);
  await server.stop();
});

/** The same cuts in every run: a failure can be repeated. */
function cutsOf(length: number, seed: number): number[] {
  let state = seed;
  return Array.from({ length: Math.min(200, Math.ceil(length / 20)) }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state % length;
  });
}

function prepare(exchange: Exchange, seed = 1): void {
  const text =
    exchange.sse ?? (typeof exchange.body === 'string' ? exchange.body : JSON.stringify(exchange.body));
  const type = exchange.sse === undefined ? 'application/json' : 'text/event-stream';
  const body = Buffer.from(text);
  server.answer = {
    status: exchange.status,
    headers: { 'content-type': type, ...exchange.headers },
    body,
    cuts: cutsOf(body.length, seed),
  };
}

function callOf(exchange: Exchange): ProviderCall {
  const request = toOpenAiDialect(exchange.request);
  return {
    request,
    upstreamModel: request.model,
    clientModel: 'the-client-model',
    maxOutputTokens: request.max_tokens ?? undefined,
    requestId: 'req-1',
    signal: new AbortController().signal,
    dropUnsupported: false,
  };
}

async function answerOf(exchange: Exchange): Promise<{ completion: ChatCompletion; chunks: ChatChunk[] }> {
  prepare(exchange);
  if (exchange.sse === undefined) return { ...(await strategy.complete(callOf(exchange))), chunks: [] };
  const { events } = await strategy.stream(callOf(exchange));
  const chunks: ChatChunk[] = [];
  for await (const event of events) chunks.push(JSON.parse(event.json) as ChatChunk);
  return { completion: foldChunks(chunks), chunks };
}

describe.each(EXCHANGES)('request of $name', ({ request }) => {
  it('is the same after the way through OpenAI’s dialect', () => {
    const dialect = toOpenAiDialect(request);
    const before = structuredClone(dialect);
    const call = {
      request: dialect,
      upstreamModel: dialect.model,
      maxOutputTokens: dialect.max_tokens ?? undefined,
      dropUnsupported: false,
    };
    const { body, droppedParams } = toAnthropicRequest(call, request.stream === true);
    expect(canonical(body)).toEqual(canonical(request));
    expect(droppedParams).toEqual([]);
    expect(dialect).toEqual(before);
  });
});

describe.each(SUCCESSES)('answer of $name', (exchange) => {
  it('reaches the client whole', async () => {
    const message = exchange.sse === undefined ? exchange.body : assembled(exchange.sse);
    if (!isObject(message)) throw new Error('the recording holds no message');
    const { completion, chunks } = await answerOf(exchange);
    expectOpenAiForm(completion, chunks);
    expectSameContent(completion, message);
    expectSameUsage(completion, message.usage);
    expectSameTurnBack(completion, message);
  });
});

describe.each(FAILURES)('failure of $name', (exchange) => {
  it('is judged', async () => {
    const failure = await answerOf(exchange).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(ProviderError);
    if (!(failure instanceof ProviderError)) return;
    const expected = exchange.status === 200 ? 'provider_overloaded' : CODES[exchange.status];
    expect(failure.code).toBe(expected);
    if (exchange.status !== 200) expect(failure.upstreamStatus).toBe(exchange.status);
    const retryAfter = exchange.status === 429 ? exchange.headers['retry-after'] : undefined;
    expect(failure.retryAfterMs).toBe(retryAfter === undefined ? undefined : Number(retryAfter) * 1000);
  });
});

const CODES: Readonly<Record<number, string>> = {
  400: 'provider_rejected',
  401: 'provider_auth_failed',
  404: 'model_not_found',
  429: 'provider_rate_limited',
  503: 'provider_overloaded',
  529: 'provider_overloaded',
};

const FINISH: Readonly<Record<string, string>> = {
  end_turn: 'stop',
  stop_sequence: 'stop',
  pause_turn: 'length',
  max_tokens: 'length',
  tool_use: 'tool_calls',
  refusal: 'content_filter',
};

function expectOpenAiForm(completion: ChatCompletion, chunks: readonly ChatChunk[]): void {
  expect(completion).toMatchObject({ object: 'chat.completion', model: 'the-client-model' });
  expect(completion.id).toMatch(/^msg_/);
  expect(Number.isInteger(completion.created)).toBe(true);
  expect(completion.choices).toHaveLength(1);
  if (chunks.length === 0) return;
  expect(chunks[0]?.choices[0]?.delta).toEqual({ role: 'assistant', content: '' });
  expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
  expect(chunks.at(-1)).toMatchObject({ choices: [], usage: completion.usage });
  expect(chunks.filter(({ choices }) => choices[0]?.finish_reason)).toHaveLength(1);
  expectRisingCalls(chunks);
}

function expectRisingCalls(chunks: readonly ChatChunk[]): void {
  const calls = chunks.flatMap(({ choices }) => choices[0]?.delta.tool_calls ?? []);
  const starts = calls.filter(({ id }) => id !== undefined);
  expect(starts.map(({ index }) => index)).toEqual(starts.map((_, index) => index));
  for (const start of starts) expect(start).toMatchObject({ type: 'function', function: { arguments: '' } });
}

function expectSameContent(completion: ChatCompletion, message: JsonObject): void {
  const blocks = message.content as WireBlock[];
  const [choice] = completion.choices;
  const calls = blocks.filter(({ type }) => type === 'tool_use');
  expect(choice?.message.content ?? '').toBe(joined(blocks, 'text'));
  expect(choice?.message.reasoning_content ?? '').toBe(joined(blocks, 'thinking'));
  expect(choice?.message.tool_calls?.map(({ id, function: { name } }) => [id, name])).toEqual(
    calls.length > 0 ? calls.map(({ id, name }) => [id, name]) : undefined,
  );
  expect(
    choice?.message.tool_calls?.map((call) => JSON.parse(call.function.arguments) as unknown) ?? [],
  ).toEqual(calls.map(({ input }) => input));
  expect(choice?.finish_reason).toBe(FINISH[textOf(message.stop_reason)]);
  expect(choice?.message.provider_specific_fields?.stop_reason).toBe(message.stop_reason);
  expect(choice?.message.provider_specific_fields?.stop_sequence ?? null).toBe(message.stop_sequence ?? null);
}

function joined(blocks: readonly WireBlock[], type: 'text' | 'thinking'): string {
  return blocks.map((block) => (block.type === type ? textOf(block[type]) : '')).join('');
}

function expectSameUsage(completion: ChatCompletion, usage: unknown): void {
  const counts = (isObject(usage) ? usage : {}) as Record<string, number | undefined>;
  const prompt =
    (counts.input_tokens ?? 0) +
    (counts.cache_read_input_tokens ?? 0) +
    (counts.cache_creation_input_tokens ?? 0);
  expect(completion.usage).toMatchObject({
    prompt_tokens: prompt,
    completion_tokens: counts.output_tokens,
    total_tokens: prompt + (counts.output_tokens ?? 0),
  });
  expect(completion.usage?.prompt_tokens_details?.cached_tokens).toBe(
    counts.cache_read_input_tokens ?? undefined,
  );
}

/** The client sends the message back: Anthropic gets its own blocks, thinking byte for byte; blank text it refuses. */
function expectSameTurnBack(completion: ChatCompletion, message: JsonObject): void {
  const [choice] = completion.choices;
  if (!choice) throw new Error('no choice');
  const blocks = (message.content as WireBlock[]).filter(
    ({ type, text }) => type !== 'text' || textOf(text).trim() !== '',
  );
  if (blocks.length === 0) return;
  const call = {
    request: {
      model: 'm',
      messages: [
        { role: 'user' as const, content: 'a' },
        choice.message,
        { role: 'user' as const, content: 'b' },
      ],
    },
    upstreamModel: 'claude-sonnet-4-5',
    maxOutputTokens: 10,
    dropUnsupported: false,
  };
  const [, turn] = toAnthropicRequest(call, false).body.messages;
  const back = turn?.content ?? [];
  expect(mergedText(back)).toEqual(mergedText(blocks));
  expect(JSON.stringify(back.filter(isThinking))).toBe(JSON.stringify(blocks.filter(isThinking)));
}

/** Pieces of plain text that follow each other say the same as one piece. */
function mergedText(blocks: readonly WireBlock[]): WireBlock[] {
  return blocks.reduce<WireBlock[]>((all, block) => {
    const last = all.at(-1);
    const plain = isPlainText(block) ? { type: 'text', text: block.text } : block;
    if (!last || !isPlainText(last) || !isPlainText(plain)) return [...all, plain];
    return [...all.slice(0, -1), { type: 'text', text: textOf(last.text) + textOf(plain.text) }];
  }, []);
}

function isPlainText(block: WireBlock): boolean {
  return block.type === 'text' && !block.citations;
}

/** The message that a stream spells, put together without our translator. */
function assembled(sse: string): JsonObject {
  const message: JsonObject = {};
  const blocks: (WireBlock & { json?: string })[] = [];
  for (const event of eventsIn(sse)) assemble(message, blocks, event);
  const content = blocks.map(({ json, ...block }) =>
    json ? { ...block, input: JSON.parse(json) as unknown } : block,
  );
  return { ...message, content };
}

function eventsIn(sse: string): JsonObject[] {
  return [...sse.matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(data ?? '') as JsonObject);
}

const DELTA_FIELDS: Readonly<Record<string, [target: string, source: string]>> = {
  text_delta: ['text', 'text'],
  thinking_delta: ['thinking', 'thinking'],
  signature_delta: ['signature', 'signature'],
  input_json_delta: ['json', 'partial_json'],
};

function assemble(message: JsonObject, blocks: WireBlock[], event: JsonObject): void {
  if (event.type === 'message_start' && isObject(event.message)) Object.assign(message, event.message);
  if (event.type === 'content_block_start') blocks.push({ ...(event.content_block as WireBlock) });
  if (event.type === 'content_block_delta')
    assembleDelta(blocks[Number(event.index)], event.delta as JsonObject);
  if (event.type === 'message_delta') {
    Object.assign(message, event.delta);
    message.usage = { ...(message.usage as JsonObject), ...(event.usage as JsonObject) };
  }
}

function assembleDelta(block: WireBlock | undefined, delta: JsonObject): void {
  if (!block) throw new Error('delta of no block');
  const fields = DELTA_FIELDS[textOf(delta.type)];
  if (fields) block[fields[0]] = textOf(block[fields[0]]) + textOf(delta[fields[1]]);
  else if (delta.type === 'citations_delta') {
    block.citations = [...((block.citations as unknown[] | undefined) ?? []), delta.citation];
  } else throw new Error(`unknown delta ${textOf(delta.type)}`);
}
