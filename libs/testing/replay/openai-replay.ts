import type { ChatRequest } from '@app/contracts';
import {
  countOf,
  dataOf,
  fields,
  list,
  parseArguments,
  type RecordedAnswer,
  type RecordedUsage,
  textOf,
} from './recorded-answer.js';
import type { VendorReplay } from './vendor-replay.js';

type Json = Record<string, unknown>;

/** OpenAI's own API, Azure's, and Gemini's OpenAI-compatible endpoint: the client's dialect is the vendor's. */
export const OPENAI_REPLAY: VendorReplay = {
  upstreamModel: (recording) => textOf(recording.request.body['model']),
  toClientRequest: (recording) => recording.request.body as ChatRequest,
  readAnswer: ({ response }) =>
    response.sse === undefined ? readWhole(response.body) : readStream(response.sse),
  canonicalRequest: (body) => {
    // the gateway asks for usage always, and names the output limit as the newer field or the older one
    const {
      stream_options: _options,
      max_tokens: older,
      max_completion_tokens: newer,
      stream,
      ...rest
    } = body;
    const limit = newer ?? older;
    return { ...rest, ...(stream === true ? { stream } : {}), ...(limit === undefined ? {} : { limit }) };
  },
};

function readWhole(body: unknown): RecordedAnswer {
  const { choices, usage } = fields(body);
  const choice = list(choices)[0] ?? {};
  const message = fields(choice['message']);
  return answerOf(message, list(message['tool_calls']), choice['finish_reason'], usage, list(choices).length);
}

function readStream(sse: string): RecordedAnswer {
  const chunks = dataOf(sse);
  const choices = chunks.flatMap((chunk) => list(chunk['choices']));
  const first = choices.filter((choice) => (choice['index'] ?? 0) === 0);
  const deltas = first.map((choice) => fields(choice['delta']));
  const join = (name: string): string => deltas.map((delta) => textOf(delta[name])).join('');
  const message = {
    content: join('content'),
    refusal: join('refusal'),
    reasoning_content: join('reasoning_content'),
  };
  const finish = first.map((choice) => choice['finish_reason']).findLast(Boolean);
  const usage = chunks.map((chunk) => chunk['usage']).findLast(Boolean);
  const indexes = new Set(choices.map((choice) => choice['index'] ?? 0));
  return answerOf(message, joinCalls(deltas), finish, usage, indexes.size);
}

function joinCalls(deltas: Json[]): Json[] {
  const calls: { id: string; function: { name: string; arguments: string } }[] = [];
  for (const [position, piece] of deltas.flatMap((delta) => list(delta['tool_calls'])).entries()) {
    const index = countOf(piece['index']) ?? position;
    const call = (calls[index] ??= { id: '', function: { name: '', arguments: '' } });
    const part = fields(piece['function']);
    call.id ||= textOf(piece['id']);
    call.function.name += textOf(part['name']);
    call.function.arguments += textOf(part['arguments']);
  }
  return calls;
}

function answerOf(
  message: Json,
  calls: Json[],
  finish: unknown,
  usage: unknown,
  choices: number,
): RecordedAnswer {
  return {
    text: textOf(message['content']),
    reasoning: textOf(message['reasoning_content']),
    refusal: textOf(message['refusal']),
    calls: calls.map((call) => ({
      id: textOf(call['id']) || undefined,
      name: textOf(fields(call['function'])['name']),
      arguments: parseArguments(textOf(fields(call['function'])['arguments'])),
    })),
    finishReason: textOf(finish),
    usage: readUsage(usage),
    choices,
  };
}

function readUsage(usage: unknown): RecordedUsage | undefined {
  const { prompt_tokens, completion_tokens, total_tokens, prompt_tokens_details, completion_tokens_details } =
    fields(usage);
  const prompt = countOf(prompt_tokens);
  if (prompt === undefined) return undefined;
  // Gemini's compatible endpoint has the thinking in the total only
  const completion = (countOf(total_tokens) ?? prompt) - prompt;
  const unnamed = completion - (countOf(completion_tokens) ?? completion);
  return {
    prompt,
    completion,
    cached: countOf(fields(prompt_tokens_details)['cached_tokens']),
    reasoning: countOf(fields(completion_tokens_details)['reasoning_tokens']) ?? (unnamed || undefined),
  };
}
