import type {
  AssistantMessage,
  ChatChoice,
  ChatChunk,
  ChatChunkChoice,
  ChatCompletion,
  ChatDelta,
  ToolCall,
  ToolCallDelta,
} from '@app/contracts';

/**
 * What a client makes of a stream: the whole answer it adds up to. For checking that fold(stream) = whole.
 *
 * Texts are joined, tool calls by their index, lists (annotations, log probabilities, lists of provider blocks) are
 * appended to each other, everything else is taken from where it was said last. Fields said by no chunk are absent.
 */
export function foldChunks(chunks: readonly ChatChunk[]): ChatCompletion {
  const first = chunks[0];
  if (!first) throw new Error('an empty stream folds to nothing');
  const choices = new Map<number, ChatChoice>();
  let usage: ChatCompletion['usage'];
  for (const chunk of chunks) {
    if (chunk.usage) usage = chunk.usage;
    for (const choice of chunk.choices) fold(choiceOf(choices, choice.index), choice);
  }
  const { choices: _choices, object: _object, usage: _usage, ...envelope } = first;
  return {
    ...envelope,
    object: 'chat.completion',
    choices: [...choices.values()].sort((a, b) => a.index - b.index),
    ...(usage ? { usage } : {}),
  };
}

function choiceOf(choices: Map<number, ChatChoice>, index: number): ChatChoice {
  const known = choices.get(index);
  if (known) return known;
  const made: ChatChoice = { index, message: { role: 'assistant', content: null }, finish_reason: 'stop' };
  choices.set(index, made);
  return made;
}

function fold(choice: ChatChoice, { delta, finish_reason, logprobs }: ChatChunkChoice): void {
  if (finish_reason) choice.finish_reason = finish_reason;
  if (logprobs !== undefined && logprobs !== null) choice.logprobs = merge(choice.logprobs, logprobs);
  else if (logprobs === null) choice.logprobs ??= null;
  foldDelta(choice.message, delta);
}

function foldDelta(message: AssistantMessage, delta: ChatDelta): void {
  for (const [field, value] of Object.entries(delta)) {
    if (field === 'role') continue;
    if (field === 'tool_calls') foldToolCalls(message, delta.tool_calls ?? []);
    else message[field] = append(message[field], value);
  }
}

function foldToolCalls(message: AssistantMessage, deltas: readonly ToolCallDelta[]): void {
  const calls = (message.tool_calls ??= []);
  for (const { index, function: part, ...rest } of deltas) {
    const call = (calls[index] ??= { id: '', type: 'function', function: { name: '', arguments: '' } });
    call.function.name += part?.name ?? '';
    call.function.arguments += part?.arguments ?? '';
    mergeInto(call, rest);
  }
}

function mergeInto(call: ToolCall, rest: Omit<ToolCallDelta, 'index' | 'function'>): void {
  for (const [field, value] of Object.entries(rest)) {
    if (value === undefined) continue;
    call[field] = field === 'id' || field === 'type' ? value : merge(call[field], value);
  }
}

/** Texts are joined; a text that never comes stays null, or absent when no chunk names it. */
function append(known: unknown, value: unknown): unknown {
  if (typeof known === 'string' && typeof value === 'string') return known + value;
  if (value === null) return known ?? null;
  return merge(known, value);
}

/** Lists are appended to each other, objects are merged field by field, anything else is replaced. */
function merge(known: unknown, value: unknown): unknown {
  if (Array.isArray(known) && Array.isArray(value)) return [...known, ...value];
  if (!isObject(known) || !isObject(value)) return value;
  const merged = { ...known };
  for (const [field, part] of Object.entries(value)) merged[field] = merge(merged[field], part);
  return merged;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
