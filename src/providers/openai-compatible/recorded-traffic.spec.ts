import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import {
  ProviderError,
  type ChatChunk,
  type ChatRequest,
  type ChatStreamEvent,
  type ProviderCall,
  type ProviderStrategy,
} from '@app/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { closeLightFetch, createLightFetch } from '../http/light-fetch.js';
import { createOpenAiClient } from './openai-client.js';
import { compatibleDialect, type OpenAiDialect } from './openai-compatible.dialect.js';
import { OpenAiCompatibleStrategy } from './openai-compatible.strategy.js';
import { asArray, asObject, type WireObject } from './openai-compatible.wire.js';

/**
 * Recorded exchanges with the real APIs, replayed by a local server through the SDK and our fetch. They are no part of
 * the repository: PROVIDER_TRAFFIC_DIR names the folder (one JSON file for each exchange, see its index).
 */
const TRAFFIC_DIR = process.env.PROVIDER_TRAFFIC_DIR;

interface Recording {
  id: string;
  provider: string;
  stream: boolean;
  tags: string[];
  source: { host?: string; fidelity: string };
  request: { body: ChatRequest };
  response: { status: number; headers: Record<string, string>; body?: unknown; sse?: string };
}

function recordings(): Recording[] {
  if (!TRAFFIC_DIR) return [];
  return ['openai', 'google'].flatMap((provider) =>
    readdirSync(join(TRAFFIC_DIR, provider))
      .filter((name) => name.includes('-chat.completions-'))
      .map((name) => JSON.parse(readFileSync(join(TRAFFIC_DIR, provider, name), 'utf8')) as Recording),
  );
}

const CLIENT_MODEL = 'what-the-client-asked-for';
const openAiLike: OpenAiDialect = {
  ...compatibleDialect('openai'),
  closedParams: () => [],
  stopsWithForcedTools: true,
};

/** A generator of its own, so that a failure can be repeated. */
function* pseudoRandom(seed: number): Generator<number, never> {
  let state = seed;
  for (;;) {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    yield state / 2_147_483_648;
  }
}

function pieces(bytes: Buffer, seed: number): Buffer[] {
  const random = pseudoRandom(seed);
  const found: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = 1 + Math.floor(random.next().value ** 3 * 900);
    found.push(bytes.subarray(at, at + size));
    at += size;
  }
  return found;
}

let answer: (response: ServerResponse) => void;
const sent: { body?: WireObject } = {};
const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    sent.body = JSON.parse(Buffer.concat(chunks).toString()) as WireObject;
    answer(response);
  });
});
const fetch = createLightFetch();
let openai: ProviderStrategy;
let compatible: ProviderStrategy;

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  const client = await createOpenAiClient({ baseUrl, apiKey: 'key' }, { fetch });
  openai = new OpenAiCompatibleStrategy(client, openAiLike);
  compatible = new OpenAiCompatibleStrategy(client, compatibleDialect('compatible'));
});
afterAll(async () => {
  server.close();
  await closeLightFetch(fetch);
});

function callOf(recording: Recording): ProviderCall {
  return {
    request: recording.request.body,
    upstreamModel: recording.request.body.model,
    clientModel: CLIENT_MODEL,
    maxOutputTokens: undefined,
    requestId: 'request-1',
    signal: new AbortController().signal,
    dropUnsupported: false,
  };
}

function strategyFor(recording: Recording): ProviderStrategy {
  return recording.provider === 'openai' ? openai : compatible;
}

function replayWhole({ response }: Recording): void {
  answer = (reply) => {
    const text = typeof response.body === 'string' ? response.body : JSON.stringify(response.body);
    reply.writeHead(response.status, { 'content-type': 'application/json', ...response.headers }).end(text);
  };
}

function replayStream(recording: Recording, seed: number): void {
  answer = (reply) => {
    reply.writeHead(200, { 'content-type': 'text/event-stream', ...recording.response.headers });
    const left = pieces(Buffer.from(recording.response.sse ?? ''), seed);
    const send = () => {
      const piece = left.shift();
      if (!piece) return reply.end();
      reply.write(piece);
      setImmediate(send);
    };
    send();
  };
}

async function failure(promise: Promise<unknown>): Promise<ProviderError> {
  const error = await promise.then(
    () => expect.unreachable('it should have failed'),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ProviderError);
  return error as ProviderError;
}

/** Chunks of OpenAI's schema -> what a client makes of them. Written without any of the code under test. */
function fold(chunks: unknown[]): WireObject {
  const choices = new Map<number, WireObject & { message: WireObject }>();
  let usage: unknown;
  for (const chunk of chunks.map((value) => asObject(value) ?? {})) {
    usage = chunk.usage ?? usage;
    for (const choice of asArray(chunk.choices).map((value) => asObject(value) ?? {})) {
      const index = Number(choice.index ?? 0);
      const folded = choices.get(index) ?? { message: {} };
      choices.set(index, folded);
      for (const [key, value] of Object.entries(asObject(choice.delta) ?? {}))
        foldMember(folded.message, key, value);
      folded.finish_reason = choice.finish_reason ?? folded.finish_reason;
      if (asObject(choice.logprobs)) foldLogprobs(folded, asObject(choice.logprobs) ?? {});
    }
  }
  return { choices: Object.fromEntries(choices), usage };
}

function foldMember(message: WireObject, key: string, value: unknown): void {
  if (key === 'tool_calls') {
    const calls = (message.tool_calls ??= []) as WireObject[];
    for (const piece of asArray(value).map((call) => asObject(call) ?? {})) {
      const call = (calls[Number(piece.index)] ??= { function: { arguments: '' } });
      const called = asObject(piece.function) ?? {};
      const target = call.function as WireObject;
      Object.assign(call, piece, { function: target });
      if (called.name) target.name = called.name;
      target.arguments = String(target.arguments) + String(called.arguments ?? '');
    }
  } else if (typeof value === 'string' && key !== 'role') message[key] = String(message[key] ?? '') + value;
  else message[key] = value ?? message[key] ?? null;
}

function foldLogprobs(choice: WireObject, logprobs: WireObject): void {
  const all = (choice.logprobs ??= { content: [] }) as { content: unknown[] };
  all.content.push(...asArray(logprobs.content));
}

function recordedChunks(sse: string): WireObject[] {
  return sse
    .split('\n')
    .filter((line) => line.startsWith('data: {'))
    .map((line) => JSON.parse(line.slice(6)) as WireObject);
}

function writtenIn(folded: WireObject): number {
  return Object.values(asObject(folded.choices) ?? {})
    .map((choice) => asObject(asObject(choice)?.message) ?? {})
    .flatMap((message) => [
      message.content,
      message.refusal,
      ...asArray(message.tool_calls).flatMap((call) =>
        Object.values(asObject(asObject(call)?.function) ?? {}),
      ),
    ])
    .reduce<number>((length, text) => length + (typeof text === 'string' ? text.length : 0), 0);
}

function expectSchema(chunk: ChatChunk): void {
  expect(chunk).toMatchObject({ object: 'chat.completion.chunk', model: CLIENT_MODEL });
  expect(chunk.id).toMatch(/./);
  expect(chunk.created).toBeGreaterThan(1_600_000_000);
  for (const choice of chunk.choices) {
    expect(choice.index).toBeTypeOf('number');
    expect(choice.delta).toBeTypeOf('object');
    expect([null, 'stop', 'length', 'tool_calls', 'content_filter', 'function_call']).toContain(
      choice.finish_reason,
    );
  }
}

const all = recordings();
const answered = all.filter(({ response }) => response.status === 200);

describe.skipIf(!TRAFFIC_DIR)('recorded traffic', () => {
  it('is there', () => {
    expect(all.length).toBeGreaterThan(50);
  });

  it.each(answered.filter(({ stream }) => !stream).map((one) => [one.id, one] as const))(
    'whole: %s',
    async (_id, recording) => {
      replayWhole(recording);
      const { completion, usage } = await strategyFor(recording).complete(callOf(recording));
      const wire = structuredClone(recording.response.body) as WireObject;
      for (const choice of asArray(wire.choices).map((value) => value as WireObject)) {
        choice.message ??= { role: 'assistant' };
        const message = choice.message as WireObject;
        message.content ??= null;
        for (const call of asArray(message.tool_calls))
          (call as WireObject).id ||= expect.stringMatching(/^call_.+/);
      }
      const reported = asObject(wire.usage) ?? {};
      const outputTokens = Number(reported.total_tokens) - Number(reported.prompt_tokens);
      wire.usage = expect.objectContaining({ ...reported, completion_tokens: outputTokens });
      expect(completion).toEqual({ ...wire, model: CLIENT_MODEL });
      expect(usage).toMatchObject({ inputTokens: reported.prompt_tokens, outputTokens });
      const { model, ...asked } = recording.request.body;
      const { max_tokens: _older, max_completion_tokens: _newer, stream: _stream, ...passed } = asked;
      expect(sent.body).toMatchObject({ ...passed, model });
    },
  );

  it.each(answered.filter(({ stream }) => stream).map((one) => [one.id, one] as const))(
    'stream: %s',
    async (_id, recording) => {
      const raw = recordedChunks(recording.response.sse ?? '');
      const expected = fold(raw);
      for (const seed of [1, 2, 3]) {
        replayStream(recording, seed);
        const { events } = await strategyFor(recording).stream(callOf(recording));
        const seen: ChatStreamEvent[] = [];
        for await (const event of events) seen.push(event);
        for (const event of seen) expect(event.json).not.toMatch(/[\r\n]/);
        const chunks = seen.map((event) => JSON.parse(event.json) as ChatChunk);
        chunks.forEach(expectSchema);
        expect(new Set(chunks.map((chunk) => chunk.id)).size).toBe(1);
        expect(fold(chunks)).toEqual(expected);

        const written = seen.map((event) => event.outputText).join('');
        expect(written.length).toBe(writtenIn(expected));
        const usage = seen.findLast((event) => event.usage)?.usage;
        const block = asObject(expected.usage);
        expect(usage?.inputTokens).toBe(block?.prompt_tokens);
        expect(usage?.outputTokens).toBe(block?.completion_tokens);
        expect(seen.filter((event) => event.usageOnly)).toHaveLength(block ? 1 : 0);
        expect(seen.filter((event) => event.finishReason)).toHaveLength(1);
        if (recording.source.host === 'api.openai.com') expectUnchanged(chunks, raw, recording);
      }
      expect(sent.body).toMatchObject({ stream: true, stream_options: { include_usage: true } });
    },
  );

  it.each(all.filter(({ response }) => response.status !== 200).map((one) => [one.id, one] as const))(
    'error: %s',
    async (_id, recording) => {
      replayWhole(recording);
      const strategy = strategyFor(recording);
      const error = await failure(
        recording.stream ? strategy.stream(callOf(recording)) : strategy.complete(callOf(recording)),
      );
      const wire = asObject(asObject(recording.response.body)?.error) ?? {};
      expect(error.upstreamStatus).toBe(recording.response.status);
      expect(error.processed).toBe('no');
      switch (recording.response.status) {
        case 401:
          expect(error).toMatchObject({ code: 'provider_auth_failed', status: 502, tryElsewhere: true });
          expect(error.message).not.toContain('key');
          return;
        case 404:
          expect(error).toMatchObject({ code: 'model_not_found', message: wire.message, tryElsewhere: true });
          return;
        case 429:
          expect(error).toMatchObject({
            code: 'provider_rate_limited',
            countsAsFailure: false,
            tryElsewhere: true,
          });
          expect(error.message).not.toContain('org-');
          return;
        default:
          expect(error).toMatchObject({
            status: 400,
            message: wire.message,
            param: wire.param,
            wireCode: wire.code,
            countsAsFailure: false,
            tryElsewhere: false,
          });
      }
    },
  );
});

/** OpenAI's own chunks reach the client as they are, but for the model's name and an empty usage nobody asked for. */
function expectUnchanged(chunks: ChatChunk[], raw: WireObject[], recording: Recording): void {
  const asked = recording.request.body.stream_options?.include_usage === true;
  const expected = raw.map(({ usage, ...chunk }) => ({
    ...chunk,
    model: CLIENT_MODEL,
    ...(usage ? { usage } : asked ? { usage: null } : {}),
  }));
  expect(chunks).toEqual(expected);
}
