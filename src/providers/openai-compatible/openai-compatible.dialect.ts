import type { ChatRequest, ProviderCall } from '@app/contracts';
import { type ClosedParam, closedParams } from './closed-params.js';

/** Where one vendor's form of OpenAI's dialect differs from another's. Everything else is common. */
export interface OpenAiDialect {
  readonly providerName: string;
  /** A client's disconnect stops generation, and with it the vendor's bill. */
  readonly cancelStopsBilling: boolean;
  /** What clients may not set. OpenAI's are taken out before the wire is chosen. */
  closedParams(call: ProviderCall): readonly ClosedParam[];
  /** The field that the output limit is written to. */
  outputLimitField(request: ChatRequest, upstreamModel: string): OutputLimitField;
  /** Takes an earlier turn's `reasoning_content` back (DeepSeek, vLLM). OpenAI has no such field. */
  readonly takesReasoningContent: boolean;
  /** Its name for reasoning, by which alone it may read it (vLLM, Ollama, Groq). To the client it is `reasoning_content`. */
  readonly reasoningName: 'reasoning_content' | 'reasoning';
  /** Takes `extra_content` back (Gemini's own endpoint, whose signatures stand there). OpenAI has no such field. */
  readonly takesExtraContent: boolean;
  /** Takes fields of OpenAI's messages that say nothing (`refusal: null`). Others may not know them at all. */
  readonly takesEmptyFields: boolean;
  /** Knows the role `developer`. To others it is said as `system`, which OpenAI takes for the same. */
  readonly takesDeveloperRole: boolean;
  /** `stop` beside tool calls is meant so (OpenAI: a forced tool); elsewhere it becomes `tool_calls`. */
  readonly stopsWithForcedTools: boolean;
  /** The header that carries the gateway's request id. */
  readonly requestIdHeader: string;
  /** Asks for usage in streams by `stream_options`; off for servers that refuse the field. */
  readonly streamUsage: boolean;
  /** Of one whole call, the stream included; `undefined` = the caller's signal alone ends it. */
  readonly callTimeoutMs: number | undefined;
}

export type OutputLimitField = 'max_tokens' | 'max_completion_tokens';

/**
 * A server of which nothing is known but its dialect. The output limit goes by its older name: all know that, or say that
 * they do not; the newer one is passed over in silence by some (Ollama, DeepSeek), and an answer without a limit costs more
 * than was held for it.
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
    callTimeoutMs: undefined,
  };
}
