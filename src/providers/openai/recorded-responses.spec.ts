import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { ChatChunk, ChatMessage, ChatStreamEvent, ProviderCall } from '@app/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { closeLightFetch, createLightFetch } from '../http/light-fetch.js';
import { createOpenAiClient } from '../openai-compatible/openai-client.js';
import { asArray, asObject, type WireObject } from '../openai-compatible/openai-compatible.wire.js';
import { inputItems } from './responses.input.js';
import { ResponsesStrategy } from './responses.strategy.js';

/** Recorded answers of the real Responses API, replayed through the SDK; see `../openai-compatible/recorded-traffic.spec.ts`. */
const TRAFFIC_DIR = process.env.PROVIDER_TRAFFIC_DIR;

interface Recording {
  id: string;
  stream: boolean;
  request: { body: { model: string } };
  response: { status: number; headers: Record<string, string>; body?: WireObject; sse?: string };
}

const all: Recording[] = TRAFFIC_DIR
  ? readdirSync(join(TRAFFIC_DIR, 'openai'))
      .filter((name) => name.startsWith('openai-responses-'))
      .map((name) => JSON.parse(readFileSync(join(TRAFFIC_DIR, 'openai', name), 'utf8')) as Recording)
  : [];

let answer: (reply: ServerResponse) => void;
const server = createServer((request, reply) => request.resume().on('end', () => answer(reply)));
const fetch = createLightFetch();
let strategy: ResponsesStrategy;

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  strategy = new ResponsesStrategy(await createOpenAiClient({ baseUrl, apiKey: 'key' }, { fetch }));
});
afterAll(async () => {
  server.close();
  await closeLightFetch(fetch);
});

function callOf(recording: Recording): ProviderCall {
  const model = recording.request.body.model;
  return {
    request: { model, messages: [{ role: 'user', content: 'Hi' }] },
    upstreamModel: model,
    clientModel: 'client-model',
    maxOutputTokens: undefined,
    requestId: 'req-1',
    signal: new AbortController().signal,
    dropUnsupported: false,
  };
}

function replay({ response }: Recording): void {
  answer = (reply) => {
    reply.writeHead(response.status, { 'content-type': 'application/json', ...response.headers });
    if (response.sse === undefined) return reply.end(JSON.stringify(response.body));
    const bytes = Buffer.from(response.sse);
    for (let at = 0; at < bytes.length; at += 997) reply.write(bytes.subarray(at, at + 997));
    return reply.end();
  };
}

/** What a response says, read in a straight line. */
function said(response: WireObject): WireObject {
  const output = asArray(response.output).map((item) => item as WireObject);
  const parts = output
    .filter((item) => item.type === 'message')
    .flatMap((item) => asArray(item.content) as WireObject[]);
  const calls = output.filter((item) => item.type === 'function_call');
  const summaries = output
    .filter((item) => item.type === 'reasoning')
    .flatMap((item) => asArray(item.summary) as WireObject[]);
  const usage = asObject(response.usage);
  return {
    text: parts.map((part) => part.text ?? '').join(''),
    refusal: parts.map((part) => part.refusal ?? '').join(''),
    reasoning: summaries.map((part) => part.text).join('\n\n'),
    calls: calls.map((call) => [call.call_id, call.name, call.arguments]),
    finish: response.status === 'incomplete' ? 'length' : calls.length > 0 ? 'tool_calls' : 'stop',
    input: usage?.input_tokens,
    output: usage?.output_tokens,
  };
}

/** Items as they have to come back: without what only an answer has. */
function replayable(output: unknown): WireObject[] {
  return (asArray(output) as WireObject[]).map((item) =>
    item.type === 'message'
      ? {
          ...item,
          content: (asArray(item.content) as WireObject[]).map(({ text }) => ({
            type: 'output_text',
            text,
            annotations: [],
          })),
        }
      : item,
  );
}

describe.skipIf(!TRAFFIC_DIR)('recorded responses', () => {
  const good = all.filter(({ response }) => response.status === 200);

  it.each(good.filter(({ stream }) => !stream).map((one) => [one.id, one] as const))(
    'whole: %s',
    async (_id, recording) => {
      replay(recording);
      const { completion, usage } = await strategy.complete(callOf(recording));
      const { message, finish_reason } = completion.choices[0]!;
      expect({
        text: message.content ?? '',
        refusal: message.refusal ?? '',
        reasoning: message.reasoning_content ?? '',
        calls: (message.tool_calls ?? []).map((call) => [
          call.id,
          call.function.name,
          call.function.arguments,
        ]),
        finish: finish_reason,
        input: usage?.inputTokens,
        output: usage?.outputTokens,
      }).toEqual(said(recording.response.body ?? {}));
      expect(completion.model).toBe('client-model');
      const items = inputItems([message as ChatMessage]);
      if (message.provider_specific_fields)
        expect(items).toEqual(replayable(recording.response.body?.output));
    },
  );

  it.each(good.filter(({ stream }) => stream).map((one) => [one.id, one] as const))(
    'stream: %s',
    async (_id, recording) => {
      replay(recording);
      const { events } = await strategy.stream(callOf(recording));
      const seen: ChatStreamEvent[] = [];
      for await (const event of events) seen.push(event);
      const chunks = seen.map((event) => JSON.parse(event.json) as ChatChunk);
      const deltas = chunks.flatMap((chunk) => chunk.choices).map((choice) => choice.delta);
      const terminal = (recording.response.sse ?? '')
        .split('\n')
        .filter((line) => line.startsWith('data: '))
        .map((line) => JSON.parse(line.slice(6)) as WireObject)
        .findLast((event) => event.type === 'response.completed' || event.type === 'response.incomplete');
      const response = asObject(terminal?.response) ?? {};
      const pieces = deltas.flatMap((delta) => delta.tool_calls ?? []);
      const opened = pieces.filter((piece) => piece.id);
      const joined = (key: 'content' | 'refusal' | 'reasoning_content') =>
        deltas.map((delta) => delta[key] ?? '').join('');
      const usage = seen.findLast((event) => event.usage)?.usage;
      expect({
        text: joined('content'),
        refusal: joined('refusal'),
        reasoning: joined('reasoning_content'),
        calls: opened.map((call) => [
          call.id,
          call.function?.name,
          pieces
            .filter((piece) => piece.index === call.index)
            .map((piece) => piece.function?.arguments)
            .join(''),
        ]),
        finish: seen.find((event) => event.finishReason)?.finishReason,
        input: usage?.inputTokens,
        output: usage?.outputTokens,
      }).toEqual(said(response));
    },
  );

  it.each(all.filter(({ response }) => response.status !== 200).map((one) => [one.id, one] as const))(
    'error: %s',
    async (_id, recording) => {
      replay(recording);
      const attempt = recording.stream
        ? strategy.stream(callOf(recording))
        : strategy.complete(callOf(recording));
      const codes: Record<number, string[]> = {
        400: ['provider_rejected', 'model_not_found', 'unsupported_parameter'],
        401: ['provider_auth_failed'],
        500: ['provider_bad_response'],
        503: ['provider_overloaded'],
      };
      const error: unknown = await attempt.catch((thrown: unknown) => thrown);
      expect(codes[recording.response.status]).toContain((error as { code: string }).code);
    },
  );
});
