import type { ProviderSpecificFields, ToolCall } from './chat-request.js';

/** Why the model stopped. `function_call` only for the dialect before `tools`. */
export type FinishReason = 'stop' | 'length' | 'tool_calls' | 'content_filter' | 'function_call';

/** OpenAI's `chat.completion`, whichever provider served it. */
export interface ChatCompletion {
  id: string;
  object: 'chat.completion';
  /** Unix seconds */
  created: number;
  model: string;
  choices: ChatChoice[];
  usage?: CompletionUsage;
  service_tier?: string | null;
  system_fingerprint?: string | null;
  [key: string]: unknown;
}

export interface ChatChoice {
  index: number;
  message: AssistantMessage;
  finish_reason: FinishReason;
  logprobs?: unknown;
  [key: string]: unknown;
}

export interface AssistantMessage {
  role: 'assistant';
  content: string | null;
  refusal?: string | null;
  reasoning_content?: string | null;
  tool_calls?: ToolCall[];
  annotations?: unknown[];
  provider_specific_fields?: ProviderSpecificFields;
  [key: string]: unknown;
}

/** OpenAI's usage block as the client sees it. */
export interface CompletionUsage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details?: { cached_tokens?: number; audio_tokens?: number; [key: string]: unknown } | null;
  completion_tokens_details?: {
    reasoning_tokens?: number;
    audio_tokens?: number;
    [key: string]: unknown;
  } | null;
  [key: string]: unknown;
}

/** OpenAI's `chat.completion.chunk`. */
export interface ChatChunk {
  id: string;
  object: 'chat.completion.chunk';
  created: number;
  model: string;
  choices: ChatChunkChoice[];
  usage?: CompletionUsage | null;
  [key: string]: unknown;
}

export interface ChatChunkChoice {
  index: number;
  delta: ChatDelta;
  finish_reason: FinishReason | null;
  logprobs?: unknown;
  [key: string]: unknown;
}

export interface ChatDelta {
  role?: 'assistant';
  content?: string | null;
  refusal?: string | null;
  reasoning_content?: string | null;
  tool_calls?: ToolCallDelta[];
  provider_specific_fields?: ProviderSpecificFields;
  [key: string]: unknown;
}

export interface ToolCallDelta {
  index: number;
  id?: string;
  type?: 'function';
  function?: { name?: string; arguments?: string };
  provider_specific_fields?: ProviderSpecificFields;
  [key: string]: unknown;
}
