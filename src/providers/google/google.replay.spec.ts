import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  type AssistantMessage,
  type ChatChunk,
  type ChatMessage,
  type ChatRequest,
  GatewayError,
  type GatewayErrorCode,
  type ProviderCall,
  type ProviderStrategy,
  type ToolCall,
  type Usage,
} from '@app/contracts';
import { Ajv } from 'ajv';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { closeLightFetch, createLightFetch } from '../http/light-fetch.js';
import { toGeminiRequest } from './google.request.js';
import { normalizeParts, normalizeRequest } from './fixtures/normalize-request.js';
import { toChatRequest } from './fixtures/to-openai-dialect.js';
import { isObject, type JsonObject, objects, text } from './google.wire.js';
import { GOOGLE } from './index.js';

/**
 * Replays exchanges with the Gemini API: our own fixtures always, and the recordings under `PROVIDER_TRAFFIC_DIR` when
 * that is set. Each is taken in both directions: the recorded request is put into OpenAI's words (by
 * `fixtures/to-openai-dialect.ts`) and has to come out of our translation as it was; the recorded answer is served by a real HTTP
 * server, cut into pieces at random, and has to come out of the strategy as what was recorded.
 */
interface Exchange {
  id: string;
  api: string;
  stream: boolean;
  request: { path: string; body: JsonObject };
  response: { status: number; headers: Record<string, string>; body?: unknown; sse?: string };
}

function readFolder(folder: string): Exchange[] {
  const names = readdirSync(folder).filter((name) => name.endsWith('.json'));
  return names.map((name) => JSON.parse(readFileSync(`${folder}/${name}`, 'utf8')) as Exchange);
}

const traffic = process.env.PROVIDER_TRAFFIC_DIR;
const exchanges = [
  ...readFolder(new URL('fixtures', import.meta.url).pathname),
  ...(traffic ? readFolder(`${traffic}/google`) : []),
].filter((exchange) => exchange.api === 'generateContent' || exchange.api === 'streamGenerateContent');

const successes = exchanges.filter((exchange) => exchange.response.status === 200);
const failures = exchanges.filter((exchange) => exchange.response.status !== 200);
const named = (list: Exchange[]) => list.map((exchange): [string, Exchange] => [exchange.id, exchange]);

describe('recorded requests come out of our translation as they were', () => {
  it.each(named(exchanges))('%s', (_, exchange) => {
    const request = toChatRequest(exchange.request.body);
    const { body, droppedParams } = toGeminiRequest(callFor(exchange, request));
    expect(droppedParams).toEqual([]);
    expect(normalizeRequest({ ...body })).toEqual(normalizeRequest(exchange.request.body));
  });
});

describe('recorded answers', () => {
  const upstream = new FakeUpstream();
  const fetch = createLightFetch();
  let strategy: ProviderStrategy;

  beforeAll(async () => {
    const baseUrl = await upstream.start();
    strategy = await GOOGLE.create({ baseUrl, apiKey: 'test-key' }, { fetch });
  });

  afterAll(async () => {
    await closeLightFetch(fetch);
    await upstream.stop();
  });

  it.each(named(successes))('%s', async (_, exchange) => {
    upstream.exchange = exchange;
    const expected = readExpected(exchange);
    const answer = await ask(strategy, exchange);
    expect(upstream.received).toEqual({
      path: `/v1beta/models/${modelOf(exchange)}:${exchange.api}${exchange.stream ? '?alt=sse' : ''}`,
      key: 'test-key',
    });
    expect(answer.message.content ?? '').toBe(expected.text);
    expect(answer.message.reasoning_content ?? '').toBe(expected.thoughts);
    expect(answer.calls).toEqual(expected.calls);
    expect(answer.finishReason).toBe(expected.finishReason);
    expect(answer.usage?.inputTokens).toBe(expected.inputTokens);
    expect(answer.usage?.outputTokens).toBe(expected.outputTokens);
    expect(answer.usage?.cacheReadInputTokens).toBe(expected.cachedTokens);
    expect(answer.usage?.reasoningOutputTokens).toBe(expected.thoughtTokens);
    for (const field of expected.metadata) expect(answer.metadata).toHaveProperty(field);
    // A refusal that we tell in Google's stead is all that is left of a withheld turn.
    const refusal = answer.message.refusal ? [{ text: answer.message.refusal }] : [];
    expect(turnOf(answer.message)).toEqual(expected.turn.length > 0 ? expected.turn : refusal);
  });

  it.each(named(failures))('%s', async (_, exchange) => {
    upstream.exchange = exchange;
    const error = await ask(strategy, exchange).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(GatewayError);
    expect(error).toMatchObject({ code: expectedCode(exchange), upstreamStatus: exchange.response.status });
  });
});

/** What went wrong, told by status and words of the recording. */
function expectedCode({ response }: Exchange): GatewayErrorCode {
  const envelope: unknown = Array.isArray(response.body) ? response.body[0] : response.body;
  const message = JSON.stringify(envelope);
  if (response.status === 401 || message.includes('API_KEY_INVALID')) return 'provider_auth_failed';
  if (message.includes('token count')) return 'context_length_exceeded';
  const codes: Record<number, GatewayErrorCode> = {
    400: 'provider_rejected',
    404: 'model_not_found',
    429: 'provider_rate_limited',
    500: 'provider_bad_response',
    503: 'provider_overloaded',
    504: 'request_timeout',
  };
  return codes[response.status] ?? 'provider_bad_response';
}

// --- the call and its answer ---------------------------------------------------------------------------------------

function modelOf({ request }: Exchange): string {
  return /models\/([^/:]+):/.exec(request.path)?.[1] ?? 'gemini-2.5-flash';
}

function callFor(exchange: Exchange, request: ChatRequest): ProviderCall {
  return {
    request,
    upstreamModel: modelOf(exchange),
    clientModel: 'the-name-the-client-used',
    maxOutputTokens: request.max_completion_tokens ?? undefined,
    requestId: 'request-1',
    signal: new AbortController().signal,
    dropUnsupported: false,
  };
}

interface Answer {
  message: AssistantMessage;
  calls: { name: string; args: unknown }[];
  finishReason: string | null | undefined;
  usage: Usage | undefined;
  metadata: JsonObject;
}

async function ask(strategy: ProviderStrategy, exchange: Exchange): Promise<Answer> {
  const call = callFor(exchange, toChatRequest(exchange.request.body));
  return exchange.stream ? askForStream(strategy, call) : askWhole(strategy, call);
}

async function askWhole(strategy: ProviderStrategy, call: ProviderCall): Promise<Answer> {
  const { completion, usage } = await strategy.complete(call);
  expectValid(isCompletion, completion);
  expect(completion.model).toBe(call.clientModel);
  const [choice] = completion.choices;
  if (!choice) throw new Error('no choice');
  const metadata = (choice.provider_specific_fields ?? {}) as JsonObject;
  return {
    message: choice.message,
    calls: callsOf(choice.message),
    finishReason: choice.finish_reason,
    usage,
    metadata,
  };
}

async function askForStream(strategy: ProviderStrategy, call: ProviderCall): Promise<Answer> {
  const { events } = await strategy.stream(call);
  const chunks: ChatChunk[] = [];
  let usage: Usage | undefined;
  let written = '';
  for await (const event of events) {
    expect(event.json).not.toContain('\n');
    const chunk = JSON.parse(event.json) as ChatChunk;
    expectValid(isChunk, chunk);
    expect(chunk.model).toBe(call.clientModel);
    expect(event.usageOnly).toBe(chunk.choices.length === 0 && chunk.usage !== undefined);
    usage = event.usage ?? usage;
    written += event.outputText;
    chunks.push(chunk);
  }
  expect(chunks[0]?.choices[0]?.delta.role).toBe('assistant');
  const folded = fold(chunks);
  const { message } = folded;
  const args = (message.tool_calls ?? []).map((toolCall) => toolCall.function.arguments).join('');
  expect(written.length).toBe(
    (message.content?.length ?? 0) + (message.reasoning_content?.length ?? 0) + args.length,
  );
  return { ...folded, calls: callsOf(message), usage };
}

/** What a client makes of the chunks of the first choice. */
function fold(chunks: readonly ChatChunk[]) {
  const message: AssistantMessage = { role: 'assistant', content: null };
  const metadata: JsonObject = {};
  let finishReason: string | null = null;
  for (const choice of chunks.flatMap((chunk) => chunk.choices).filter(({ index }) => index === 0)) {
    const { content, reasoning_content: reasoning, tool_calls: calls, ...others } = choice.delta;
    if (content) message.content = (message.content ?? '') + content;
    if (reasoning) message.reasoning_content = (message.reasoning_content ?? '') + reasoning;
    for (const call of calls ?? []) {
      expect(call.index).toBe(message.tool_calls?.length ?? 0);
      (message.tool_calls ??= []).push(call as unknown as ToolCall);
    }
    Object.assign(message, others);
    Object.assign(metadata, choice.provider_specific_fields);
    finishReason = choice.finish_reason ?? finishReason;
  }
  return { message, metadata, finishReason };
}

function callsOf(message: AssistantMessage) {
  return (message.tool_calls ?? []).map((call) => {
    expect(call.id).not.toBe('');
    return { name: call.function.name, args: JSON.parse(call.function.arguments) as unknown };
  });
}

/** The parts that Gemini would get back on the next turn. */
function turnOf(message: AssistantMessage): unknown {
  const messages: ChatMessage[] = [{ role: 'user', content: 'go on' }, message];
  const call = callFor({ request: { path: '', body: {} } } as Exchange, { model: 'm', messages });
  const turn = toGeminiRequest(call).body.contents[1];
  return normalizeParts(turn?.parts ?? []);
}

// --- what the recording says ---------------------------------------------------------------------------------------

function readExpected(exchange: Exchange) {
  const chunks = chunksOf(exchange);
  const candidates = chunks.flatMap((chunk) => objects(chunk.candidates));
  const parts = candidates.flatMap((candidate) =>
    isObject(candidate.content) ? objects(candidate.content.parts) : [],
  );
  const calls = parts.map((part) => part.functionCall).filter(isObject);
  const said = parts.filter((part) => part.text !== undefined);
  const last = candidates
    .map((candidate) => text(candidate.finishReason))
    .filter(Boolean)
    .at(-1);
  return {
    text: said
      .filter((part) => part.thought !== true)
      .map((part) => part.text)
      .join(''),
    thoughts: said
      .filter((part) => part.thought === true)
      .map((part) => part.text)
      .join(''),
    calls: calls.map((call) => ({ name: call.name, args: call.args ?? {} })),
    finishReason: expectedFinish(last, calls.length, chunks),
    metadata: ['groundingMetadata', 'safetyRatings', 'citationMetadata', 'avgLogprobs', 'urlContextMetadata']
      .filter((key) =>
        candidates.some((candidate) => candidate[key] && JSON.stringify(candidate[key]) !== '{}'),
      )
      .map((key) => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)),
    turn: normalizeParts(
      parts.filter((part) => part.thought !== true || part.thoughtSignature !== undefined),
    ),
    ...expectedUsage(chunks),
  };
}

function expectedFinish(reason: string | undefined, calls: number, chunks: JsonObject[]): string {
  if (chunks.some((chunk) => isObject(chunk.promptFeedback) && chunk.promptFeedback.blockReason))
    return 'content_filter';
  if (reason === 'MAX_TOKENS') return 'length';
  if (reason !== undefined && reason !== 'STOP') return 'content_filter';
  return calls > 0 ? 'tool_calls' : 'stop';
}

/** The last chunk that names a prompt count; nothing was reported when none does. */
function expectedUsage(chunks: JsonObject[]) {
  const blocks = chunks.map((chunk) => chunk.usageMetadata).filter(isObject);
  const last = blocks.findLast((block) => block.promptTokenCount !== undefined);
  if (!last) return {};
  const sum = (...keys: string[]) => keys.reduce((total, key) => total + Number(last[key] ?? 0), 0);
  return {
    inputTokens: sum('promptTokenCount', 'toolUsePromptTokenCount'),
    outputTokens: sum('candidatesTokenCount', 'thoughtsTokenCount'),
    cachedTokens: last.cachedContentTokenCount,
    thoughtTokens: last.thoughtsTokenCount,
  };
}

function chunksOf({ response }: Exchange): JsonObject[] {
  if (response.sse === undefined)
    return Array.isArray(response.body) ? objects(response.body) : objects([response.body]);
  const events = response.sse.split(/\r?\n\r?\n/).filter((event) => event.startsWith('data:'));
  return events.map((event) => JSON.parse(event.slice('data:'.length)) as JsonObject);
}

// --- the upstream --------------------------------------------------------------------------------------------------

class FakeUpstream {
  exchange: Exchange | undefined;
  received: { path: string | undefined; key: unknown } | undefined;
  readonly #random = randomNumbers(20_261_123);
  readonly #server: Server = createServer((request, response) => {
    request.resume().on('end', () => this.#answer(request, response));
  });

  start(): Promise<string> {
    return new Promise((resolve) => {
      this.#server.listen(0, '127.0.0.1', () => {
        resolve(`http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`);
      });
    });
  }

  stop(): Promise<void> {
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    this.received = { path: request.url, key: request.headers['x-goog-api-key'] };
    const { status, headers, body, sse } = this.exchange?.response ?? { status: 500, headers: {} };
    response.writeHead(status, headers);
    const payload = sse ?? (typeof body === 'string' ? body : JSON.stringify(body));
    void this.#send(response, Buffer.from(payload));
  }

  /** Mostly small pieces, so that events, characters and line ends are cut. */
  async #send(response: ServerResponse, bytes: Buffer): Promise<void> {
    const largest = Math.max(8, bytes.length / 12);
    for (let at = 0; at < bytes.length;) {
      const end = at + 1 + Math.floor(this.#random() * largest);
      response.write(bytes.subarray(at, end));
      at = end;
      await new Promise((resolve) => setImmediate(resolve));
    }
    response.end();
  }
}

function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

// --- OpenAI's schema -----------------------------------------------------------------------------------------------

const ajv = new Ajv({ allErrors: true, strict: false });
const FINISH = ['stop', 'length', 'tool_calls', 'content_filter', 'function_call'];
const count = { type: 'integer', minimum: 0 };
const usageSchema = {
  type: 'object',
  required: ['prompt_tokens', 'completion_tokens', 'total_tokens'],
  properties: { prompt_tokens: count, completion_tokens: count, total_tokens: count },
};
const callSchema = (required: string[]) => ({
  type: 'object',
  required,
  properties: {
    index: count,
    id: { type: 'string', minLength: 1, maxLength: 64 },
    type: { const: 'function' },
    function: {
      type: 'object',
      required: ['name', 'arguments'],
      properties: { name: { type: 'string', minLength: 1 }, arguments: { type: 'string' } },
    },
  },
});
const envelope = (object: string, choice: object) => ({
  type: 'object',
  required: ['id', 'object', 'created', 'model', 'choices'],
  properties: {
    id: { type: 'string', pattern: '^chatcmpl-.' },
    object: { const: object },
    created: { type: 'integer', minimum: 1_500_000_000 },
    model: { type: 'string' },
    choices: { type: 'array', items: choice },
    usage: usageSchema,
  },
});
const isCompletion = ajv.compile(
  envelope('chat.completion', {
    type: 'object',
    required: ['index', 'message', 'finish_reason', 'logprobs'],
    properties: {
      index: count,
      finish_reason: { enum: FINISH },
      message: {
        type: 'object',
        required: ['role', 'content', 'refusal'],
        properties: {
          role: { const: 'assistant' },
          content: { type: ['string', 'null'] },
          refusal: { type: ['string', 'null'] },
          reasoning_content: { type: 'string' },
          tool_calls: { type: 'array', minItems: 1, items: callSchema(['id', 'type', 'function']) },
        },
      },
    },
  }),
);
const isChunk = ajv.compile(
  envelope('chat.completion.chunk', {
    type: 'object',
    required: ['index', 'delta', 'finish_reason'],
    properties: {
      index: count,
      finish_reason: { enum: [...FINISH, null] },
      delta: {
        type: 'object',
        properties: {
          role: { const: 'assistant' },
          content: { type: 'string' },
          tool_calls: { type: 'array', minItems: 1, items: callSchema(['index', 'id', 'type', 'function']) },
        },
      },
    },
  }),
);

function expectValid(check: ReturnType<typeof ajv.compile>, value: unknown): void {
  check(value);
  expect(check.errors ?? []).toEqual([]);
}
