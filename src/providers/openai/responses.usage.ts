import type { CompletionUsage, Usage } from '@app/contracts';
import { completionUsage, readUsage } from '../openai-compatible/openai-compatible.usage.js';
import { asObject, type WireObject } from '../openai-compatible/openai-compatible.wire.js';

/**
 * The usage block of a response -> ours. Its counts mean the same as those of chat completions: cached tokens and cache
 * writes are part of `input_tokens`, reasoning is part of `output_tokens`. Searches are those that OpenAI says it bills, or
 * else the items of searches.
 *
 * @param toolUsage  `tool_usage` of the response: newer models have it
 */
export function readResponsesUsage(
  block: unknown,
  output: readonly WireObject[],
  toolUsage?: unknown,
): Usage | undefined {
  const usage = readUsage(chatBlock(block));
  if (!usage) return undefined;
  const serverToolCalls = countServerTools(output, toolUsage);
  // Calls in a row are one turn: five searches at once must not divide a long input by six.
  const turns = output.filter((item, at) => isRunByOpenAi(item) && !isRunByOpenAi(output[at - 1])).length;
  return {
    ...usage,
    ...(serverToolCalls && { serverToolCalls }),
    ...(turns > 0 && { modelCalls: turns + 1 }),
  };
}

export function responsesCompletionUsage(
  block: unknown,
  usage: Usage | undefined,
): CompletionUsage | undefined {
  return completionUsage(chatBlock(block), usage);
}

function chatBlock(block: unknown): WireObject | undefined {
  const wire = asObject(block);
  if (!wire) return undefined;
  return {
    prompt_tokens: wire.input_tokens,
    completion_tokens: wire.output_tokens,
    total_tokens: wire.total_tokens,
    ...(wire.input_tokens_details ? { prompt_tokens_details: wire.input_tokens_details } : {}),
    ...(wire.output_tokens_details ? { completion_tokens_details: wire.output_tokens_details } : {}),
  };
}

/** What OpenAI bills by the call. Opening a found page is no search. */
function countServerTools(
  output: readonly WireObject[],
  toolUsage: unknown,
): Record<string, number> | undefined {
  const searches = billedSearches(toolUsage) ?? output.filter(isSearch).length;
  const counts = {
    web_search: searches,
    file_search: countOf(output, 'file_search_call'),
    image_generation: countOf(output, 'image_generation_call'),
    code_execution: containersOf(output),
  };
  const some = Object.entries(counts).filter(([, count]) => count > 0);
  return some.length > 0 ? Object.fromEntries(some) : undefined;
}

function countOf(output: readonly WireObject[], type: string): number {
  return output.filter((item) => item.type === type).length;
}

/** The container is billed, and not what runs in it. */
function containersOf(output: readonly WireObject[]): number {
  const calls = output.filter(({ type }) => type === 'code_interpreter_call');
  return new Set(calls.map((call) => call.container_id)).size;
}

/** After such calls the model is called again with their results, and the usage has the sum of it all. */
function isRunByOpenAi(item: WireObject | undefined): boolean {
  return (
    typeof item?.type === 'string' &&
    /^(?:web_search|file_search|code_interpreter|mcp|shell)_call$/.test(item.type)
  );
}

function billedSearches(toolUsage: unknown): number | undefined {
  const requests = asObject(asObject(toolUsage)?.web_search)?.num_requests;
  return typeof requests === 'number' && Number.isInteger(requests) && requests >= 0 ? requests : undefined;
}

function isSearch(item: WireObject): boolean {
  if (item.type !== 'web_search_call') return false;
  const action = asObject(item.action);
  return action === undefined || action.type === undefined || action.type === 'search';
}
