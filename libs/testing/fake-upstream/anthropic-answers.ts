import { planReply, type ReplyPlan, textsOf, toEventStream } from './reply-plan.js';
import type { Answer, BuiltInSettings, RecordedRequest } from './script.js';

interface AnthropicBody {
  model?: string;
  system?: unknown;
  messages?: { content?: unknown }[];
  max_tokens?: number;
  tools?: { name: string; input_schema?: unknown }[];
  tool_choice?: { type: string; name?: string };
}

/** Anthropic's Messages and model list. */
export function anthropicAnswer(request: RecordedRequest, settings: BuiltInSettings): Answer {
  if (request.path.endsWith('/models')) return { body: { json: MODEL_LIST } };
  if (!request.path.endsWith('/messages')) return failure(404, 'not_found_error', 'Not found');
  if (!request.headers['x-api-key'])
    return failure(401, 'authentication_error', 'x-api-key header is required');
  const body = Object(request.json) as AnthropicBody;
  if (body.max_tokens === undefined)
    return failure(400, 'invalid_request_error', 'max_tokens: Field required');
  const plan = planReply(readRequest(request.body, body), settings);
  const headers = { 'request-id': `req_${plan.id}` };
  if (request.stream) return { headers, body: { sse: toEventStream(events(body, plan), { named: true }) } };
  return { headers, body: { json: message(body, plan) } };
}

function readRequest(text: string, body: AnthropicBody): Parameters<typeof planReply>[0] {
  return {
    body: text,
    texts: [...textsOf(body.system), ...(body.messages ?? []).flatMap((item) => textsOf(item.content))],
    maxOutputTokens: body.max_tokens,
    wantsJson: false,
    forcedTool: forcedTool(body),
  };
}

function forcedTool(body: AnthropicBody): { name: string; schema: unknown } | undefined {
  if (body.tool_choice?.type !== 'any' && body.tool_choice?.type !== 'tool') return undefined;
  const name = body.tool_choice.name;
  const tool = body.tools?.find((item) => name === undefined || item.name === name);
  return tool && { name: tool.name, schema: tool.input_schema };
}

function message(body: AnthropicBody, plan: ReplyPlan): unknown {
  const content = plan.toolCall
    ? [{ ...toolUse(plan), input: plan.toolCall.arguments }]
    : [{ type: 'text', text: plan.words.join('') }];
  return { ...shell(body, plan), content, stop_reason: stopReason(plan), usage: usage(plan) };
}

function events(body: AnthropicBody, plan: ReplyPlan): unknown[] {
  const block = plan.toolCall ? toolUse(plan) : { type: 'text', text: '' };
  const startUsage = { ...usage(plan), output_tokens: 1 };
  return [
    { type: 'message_start', message: { ...shell(body, plan), content: [], usage: startUsage } },
    { type: 'content_block_start', index: 0, content_block: block },
    { type: 'ping' },
    ...deltas(plan).map((delta) => ({ type: 'content_block_delta', index: 0, delta })),
    { type: 'content_block_stop', index: 0 },
    {
      type: 'message_delta',
      delta: { stop_reason: stopReason(plan), stop_sequence: null },
      usage: { output_tokens: outputTokens(plan) },
    },
    { type: 'message_stop' },
  ];
}

function deltas(plan: ReplyPlan): unknown[] {
  if (!plan.toolCall) return plan.words.map((text) => ({ type: 'text_delta', text }));
  const json = JSON.stringify(plan.toolCall.arguments);
  const middle = Math.ceil(json.length / 2);
  return ['', json.slice(0, middle), json.slice(middle)].map((partial_json) => ({
    type: 'input_json_delta',
    partial_json,
  }));
}

function toolUse(plan: ReplyPlan): Record<string, unknown> {
  return { type: 'tool_use', id: `toolu_${plan.id}`, name: plan.toolCall?.name, input: {} };
}

function shell(body: AnthropicBody, plan: ReplyPlan): Record<string, unknown> {
  return {
    id: `msg_${plan.id}`,
    type: 'message',
    role: 'assistant',
    model: body.model,
    stop_reason: null,
    stop_sequence: null,
  };
}

function stopReason(plan: ReplyPlan): string {
  if (plan.toolCall) return 'tool_use';
  return plan.truncated ? 'max_tokens' : 'end_turn';
}

function outputTokens(plan: ReplyPlan): number {
  return plan.toolCall ? 8 : plan.words.length;
}

function usage(plan: ReplyPlan): Record<string, unknown> {
  return {
    input_tokens: plan.inputTokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    output_tokens: outputTokens(plan),
    service_tier: 'standard',
  };
}

function failure(status: number, type: string, text: string): Answer {
  return { status, body: { json: { type: 'error', error: { type, message: text } } } };
}

const MODEL_LIST = {
  data: ['claude-3-opus-20240229', 'claude-3-haiku-20240307'].map((id) => ({
    type: 'model',
    id,
    display_name: id,
    created_at: '2024-02-29T00:00:00Z',
  })),
  has_more: false,
  first_id: 'claude-3-opus-20240229',
  last_id: 'claude-3-haiku-20240307',
};
