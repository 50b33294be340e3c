import { CREATED_SECONDS, planReply, type ReplyPlan, textsOf, toEventStream } from './reply-plan.js';
import type { Answer, BuiltInSettings, RecordedRequest } from './script.js';

interface OpenaiBody {
  model?: string;
  messages?: { role?: string; content?: unknown }[];
  max_tokens?: number;
  max_completion_tokens?: number;
  n?: number;
  tools?: { function?: { name: string; parameters?: unknown } }[];
  tool_choice?: string | { function?: { name: string } };
  response_format?: { type?: string };
  stream_options?: { include_usage?: boolean };
}

/** OpenAI's Chat Completions and model list; also for every OpenAI-compatible server. */
export function openaiAnswer(request: RecordedRequest, settings: BuiltInSettings): Answer {
  if (request.path.endsWith('/models')) return { body: { json: MODEL_LIST } };
  if (!request.path.endsWith('/chat/completions')) return notFound(request.path);
  if (!request.headers.authorization && !request.headers['api-key']) return unauthorized();
  const body = Object(request.json) as OpenaiBody;
  const plan = planReply(readRequest(request.body, body), settings);
  const headers = { 'x-request-id': `req_${plan.id}`, 'openai-processing-ms': '12' };
  if (request.stream) return { headers, body: { sse: stream(body, plan) } };
  return { headers, body: { json: completion(body, plan) } };
}

function readRequest(text: string, body: OpenaiBody): Parameters<typeof planReply>[0] {
  return {
    body: text,
    texts: (body.messages ?? []).flatMap((message) => textsOf(message.content)),
    maxOutputTokens: body.max_completion_tokens ?? body.max_tokens,
    wantsJson: body.response_format?.type?.startsWith('json') ?? false,
    forcedTool: forcedTool(body),
  };
}

function forcedTool(body: OpenaiBody): { name: string; schema: unknown } | undefined {
  const named = typeof body.tool_choice === 'object' ? body.tool_choice.function?.name : undefined;
  if (body.tool_choice !== 'required' && named === undefined) return undefined;
  const tool = body.tools?.find((item) => named === undefined || item.function?.name === named)?.function;
  return tool && { name: tool.name, schema: tool.parameters };
}

function completion(body: OpenaiBody, plan: ReplyPlan): unknown {
  const choices = Array.from({ length: body.n ?? 1 }, (_, index) => ({
    index,
    message: {
      role: 'assistant',
      content: plan.toolCall ? null : plan.words.join(''),
      refusal: null,
      annotations: [],
      ...(plan.toolCall ? { tool_calls: [wholeToolCall(plan, index)] } : {}),
    },
    logprobs: null,
    finish_reason: finishReason(body, plan),
  }));
  return { ...envelope(body, plan, 'chat.completion'), choices, usage: usage(body, plan) };
}

function stream(body: OpenaiBody, plan: ReplyPlan): string {
  const indexes = Array.from({ length: body.n ?? 1 }, (_, index) => index);
  const includeUsage = body.stream_options?.include_usage === true;
  const base = { ...envelope(body, plan, 'chat.completion.chunk'), ...(includeUsage ? { usage: null } : {}) };
  const chunk = (index: number, delta: unknown, finish_reason: string | null = null): unknown => ({
    ...base,
    choices: [{ index, delta, logprobs: null, finish_reason }],
  });
  const events = [
    ...indexes.flatMap((index) => deltas(plan, index).map((delta) => chunk(index, delta))),
    ...indexes.map((index) => chunk(index, {}, finishReason(body, plan))),
    ...(includeUsage ? [{ ...base, choices: [], usage: usage(body, plan) }] : []),
  ];
  return `${toEventStream(events)}data: [DONE]\n\n`;
}

function deltas(plan: ReplyPlan, index: number): unknown[] {
  if (!plan.toolCall) {
    return [{ role: 'assistant', content: '', refusal: null }, ...plan.words.map((content) => ({ content }))];
  }
  const call = wholeToolCall(plan, index);
  const json = call.function.arguments;
  const middle = Math.ceil(json.length / 2);
  const begin = { index: 0, ...call, function: { name: call.function.name, arguments: '' } };
  const pieces = [json.slice(0, middle), json.slice(middle)].filter((piece) => piece !== '');
  return [
    { role: 'assistant', content: null, tool_calls: [begin], refusal: null },
    ...pieces.map((piece) => ({ tool_calls: [{ index: 0, function: { arguments: piece } }] })),
  ];
}

function wholeToolCall(
  plan: ReplyPlan,
  index: number,
): { id: string; type: 'function'; function: { name: string; arguments: string } } {
  return {
    id: `call_${plan.id.slice(0, 20)}${index}`,
    type: 'function',
    function: { name: plan.toolCall?.name ?? '', arguments: JSON.stringify(plan.toolCall?.arguments ?? {}) },
  };
}

/** A tool that was forced by name ends in `stop`, as the real API has it. */
function finishReason(body: OpenaiBody, plan: ReplyPlan): string {
  if (plan.toolCall) return body.tool_choice === 'required' ? 'tool_calls' : 'stop';
  return plan.truncated ? 'length' : 'stop';
}

function envelope(body: OpenaiBody, plan: ReplyPlan, object: string): Record<string, unknown> {
  return {
    id: `chatcmpl-${plan.id}`,
    object,
    created: CREATED_SECONDS,
    model: `${body.model}-2025-10-01`,
    service_tier: 'default',
    system_fingerprint: `fp_${plan.id.slice(0, 10)}`,
  };
}

function usage(body: OpenaiBody, plan: ReplyPlan): unknown {
  const perChoice = plan.toolCall ? 8 : plan.words.length;
  const completionTokens = perChoice * (body.n ?? 1);
  return {
    prompt_tokens: plan.inputTokens,
    completion_tokens: completionTokens,
    total_tokens: plan.inputTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
  };
}

function unauthorized(): Answer {
  const error = {
    message: "You didn't provide an API key.",
    type: 'invalid_request_error',
    param: null,
    code: 'invalid_api_key',
  };
  return { status: 401, body: { json: { error } } };
}

function notFound(path: string): Answer {
  const message = `Invalid URL (POST ${path})`;
  return {
    status: 404,
    body: { json: { error: { message, type: 'invalid_request_error', param: null, code: null } } },
  };
}

const MODEL_LIST = {
  object: 'list',
  data: ['gpt-4', 'gpt-3.5-turbo', 'gpt-4o'].map((id) => ({
    id,
    object: 'model',
    created: CREATED_SECONDS,
    owned_by: 'openai',
  })),
};
