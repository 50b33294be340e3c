import { canonical } from '../../../src/providers/anthropic/fixtures/canonical-request.js';
import { toOpenAiDialect } from '../../../src/providers/anthropic/fixtures/to-openai-dialect.js';
import {
  countOf,
  dataOf,
  fields,
  list,
  parseArguments,
  type RecordedAnswer,
  textOf,
} from './recorded-answer.js';
import type { VendorReplay } from './vendor-replay.js';

type Json = Record<string, unknown>;

const FINISH_REASONS: Readonly<Record<string, string>> = {
  end_turn: 'stop',
  stop_sequence: 'stop',
  pause_turn: 'length',
  compaction: 'stop',
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  tool_use: 'tool_calls',
  refusal: 'content_filter',
};

/** Anthropic's Messages. */
export const ANTHROPIC_REPLAY: VendorReplay = {
  upstreamModel: (recording) => textOf(recording.request.body['model']),
  toClientRequest: (recording) => ({
    ...toOpenAiDialect(recording.request.body),
    ...(recording.stream ? { stream: true } : {}),
  }),
  readAnswer: ({ response }) =>
    readMessage(response.sse === undefined ? fields(response.body) : join(response.sse)),
  canonicalRequest: canonical,
};

function readMessage(message: Json): RecordedAnswer {
  const blocks = list(message['content']);
  const usage = fields(message['usage']);
  const cached = countOf(usage['cache_read_input_tokens']);
  const written = countOf(usage['cache_creation_input_tokens']) ?? 0;
  return {
    text: blocks.map((block) => (block['type'] === 'text' ? textOf(block['text']) : '')).join(''),
    reasoning: blocks
      .map((block) => (block['type'] === 'thinking' ? textOf(block['thinking']) : ''))
      .join(''),
    refusal: '',
    calls: blocks
      .filter((block) => block['type'] === 'tool_use')
      .map((block) => ({ id: textOf(block['id']), name: textOf(block['name']), arguments: block['input'] })),
    finishReason: FINISH_REASONS[textOf(message['stop_reason'])] ?? 'unknown',
    usage: {
      prompt: (countOf(usage['input_tokens']) ?? 0) + (cached ?? 0) + written,
      completion: countOf(usage['output_tokens']) ?? 0,
      cached,
      reasoning: countOf(fields(usage['output_tokens_details'])['thinking_tokens']),
    },
    choices: 1,
  };
}

/** The message that a stream spells: deltas joined by block, the counts of the end over those of the start. */
function join(sse: string): Json {
  let message: Json = {};
  const blocks: Json[] = [];
  for (const event of dataOf(sse)) {
    const index = countOf(event['index']) ?? 0;
    if (event['type'] === 'message_start') message = { ...fields(event['message']) };
    if (event['type'] === 'content_block_start') blocks[index] = { ...fields(event['content_block']) };
    if (event['type'] === 'content_block_delta') addDelta(blocks[index] ?? {}, fields(event['delta']));
    if (event['type'] === 'message_delta') message = { ...message, ...addEnd(message, event) };
  }
  return { ...message, content: blocks.map(closeBlock) };
}

function addDelta(block: Json, delta: Json): void {
  for (const name of ['text', 'thinking', 'partial_json']) {
    if (typeof delta[name] === 'string') block[name] = textOf(block[name]) + delta[name];
  }
}

function addEnd(message: Json, event: Json): Json {
  return { ...fields(event['delta']), usage: { ...fields(message['usage']), ...fields(event['usage']) } };
}

function closeBlock(block: Json): Json {
  if (block['type'] !== 'tool_use') return block;
  return { ...block, input: parseArguments(textOf(block['partial_json'])) };
}
