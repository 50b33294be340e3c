import type { ChatRequest, ProviderCall } from '@app/contracts';
import { type ClosedParam, closedParams } from './closed-params.js';

/** In what one vendor's form of OpenAI's dialect differs from another's. Everything else is common. */
export interface OpenAiDialect {
  readonly providerName: string;
  /** A closed connection stops the generation, and with it the vendor's bill. */
  readonly cancelStopsBilling: boolean;
  /** What clients may not set. OpenAI's are removed before the wire is chosen. */
  closedParams(call: ProviderCall): readonly ClosedParam[];
  /** The field that the output limit is written to. */
  outputLimitField(request: ChatRequest, upstreamModel: string): OutputLimitField;
  /** Takes an earlier turn's `reasoning_content` back (DeepSeek, vLLM). OpenAI has no such field. */
  readonly takesReasoningContent: boolean;
  /** Its name for reasoning, and maybe the only one that it reads (vLLM, Ollama, Groq). To the client it is `reasoning_content`. */
  readonly reasoningName: 'reasoning_content' | 'reasoning';
  /** Takes `extra_content` back (Gemini's endpoint keeps its signatures there). OpenAI has no such field. */
  readonly takesExtraContent: boolean;
  /** Takes empty fields of OpenAI's messages (`refusal: null`). Others may not know them at all. */
  readonly takesEmptyFields: boolean;
  /** Knows the role `developer`. Others get `system`, which is the same to OpenAI. */
  readonly takesDeveloperRole: boolean;
  /** `stop` beside tool calls is left as it is (OpenAI says it of a forced tool); elsewhere it becomes `tool_calls`. */
  readonly stopsWithForcedTools: boolean;
  /** The header that carries the gateway's request id. */
  readonly requestIdHeader: string;
  /** Is asked for usage in streams by `stream_options`; off for servers that refuse the field. */
  readonly streamUsage: boolean;
}

export type OutputLimitField = 'max_tokens' | 'max_completion_tokens';

/**
 * A server of which nothing is known but its dialect. The output limit has its older name: every server knows that one or
 * refuses it, while some (Ollama, DeepSeek) silently ignore the newer one, and an answer without a limit costs more than was
 * held for it.
 */
export function compatibleDialect(providerName: string): OpenAiDialect {
  return {
    providerName,
    cancelStopsBilling: true,
    closedParams: ({ request }) => closedParams(request),
    outputLimitField: () => 'max_tokens',
    takesReasoningContent: true,
    reasoningName: 'reasoning_content',
    takesExtraContent: true,
    takesEmptyFields: false,
    takesDeveloperRole: false,
    stopsWithForcedTools: false,
    requestIdHeader: 'x-request-id',
    streamUsage: true,
  };
}
