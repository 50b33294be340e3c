/**
 * The client's request: OpenAI's Chat Completions body, kept as it came.
 *
 * Only the fields the gateway itself reads are typed; everything else stays in the object (index signature) so
 * that a provider strategy can pass it on, translate it, or refuse it by name. Nothing is defaulted here.
 */
export interface ChatRequest {
  model: string;
  messages: ChatMessage[];
  stream?: boolean | null;
  stream_options?: { include_usage?: boolean; [key: string]: unknown } | null;
  /** Output limit in tokens. `max_completion_tokens` wins over the older `max_tokens` when both are set. */
  max_tokens?: number | null;
  max_completion_tokens?: number | null;
  temperature?: number | null;
  top_p?: number | null;
  frequency_penalty?: number | null;
  presence_penalty?: number | null;
  logit_bias?: Record<string, number> | null;
  logprobs?: boolean | null;
  top_logprobs?: number | null;
  n?: number | null;
  seed?: number | null;
  stop?: string | string[] | null;
  tools?: ChatTool[] | null;
  tool_choice?: ToolChoice | null;
  parallel_tool_calls?: boolean | null;
  /** The dialect before `tools`; still accepted by OpenAI and compatible servers. */
  functions?: FunctionDefinition[] | null;
  function_call?: 'none' | 'auto' | { name: string } | null;
  response_format?: ResponseFormat | null;
  reasoning_effort?: string | null;
  user?: string | null;
  metadata?: Record<string, string> | null;
  service_tier?: string | null;
  [key: string]: unknown;
}

export type ChatRole = 'system' | 'developer' | 'user' | 'assistant' | 'tool' | 'function';

export interface ChatMessage {
  role: ChatRole;
  content?: string | ContentPart[] | null;
  name?: string;
  /** assistant: calls the model made */
  tool_calls?: ToolCall[] | null;
  /** tool: the call this message answers */
  tool_call_id?: string;
  refusal?: string | null;
  /** assistant: reasoning text of an earlier turn, as the gateway gave it */
  reasoning_content?: string | null;
  /** assistant: opaque provider blocks of an earlier turn, as the gateway gave them, byte for byte */
  provider_specific_fields?: ProviderSpecificFields | null;
  function_call?: { name: string; arguments: string } | null;
  [key: string]: unknown;
}

/**
 * Opaque provider data that must come back unchanged on the next turn. Keys are namespaced by the field's own name
 * in the vendor's API, e.g. `thinking_blocks` (Anthropic) or `thought_signatures` (Gemini).
 */
export type ProviderSpecificFields = Record<string, unknown>;

export type ContentPart = TextPart | ImagePart | InputAudioPart | FilePart | RefusalPart | UnknownPart;
export interface TextPart {
  type: 'text';
  text: string;
  [key: string]: unknown;
}
export interface ImagePart {
  type: 'image_url';
  /** `url` is https://… or data:<mime>;base64,… */
  image_url: { url: string; detail?: string; [key: string]: unknown };
  [key: string]: unknown;
}
export interface InputAudioPart {
  type: 'input_audio';
  input_audio: { data: string; format: string };
  [key: string]: unknown;
}
/** A document. `file_data` is a data URL (or bare base64), `file_id` an upload at the provider, `file_url` an https URL. */
export interface FilePart {
  type: 'file';
  file: {
    filename?: string;
    file_data?: string;
    file_id?: string;
    file_url?: string;
    [key: string]: unknown;
  };
  [key: string]: unknown;
}
export interface RefusalPart {
  type: 'refusal';
  refusal: string;
  [key: string]: unknown;
}
export interface UnknownPart {
  type: string;
  [key: string]: unknown;
}

export interface FunctionDefinition {
  name: string;
  description?: string;
  /** JSON Schema; absent means no arguments */
  parameters?: Record<string, unknown>;
  strict?: boolean | null;
  [key: string]: unknown;
}
export interface ChatTool {
  type: string;
  function?: FunctionDefinition;
  [key: string]: unknown;
}
export type ToolChoice =
  | 'none'
  | 'auto'
  | 'required'
  | { type: 'function'; function: { name: string } }
  | { type: string; [key: string]: unknown };

export type ResponseFormat =
  | { type: 'text' }
  | { type: 'json_object' }
  | {
      type: 'json_schema';
      json_schema: {
        name: string;
        description?: string;
        schema?: Record<string, unknown>;
        strict?: boolean | null;
      };
    };

export interface ToolCall {
  id: string;
  type: 'function';
  function: { name: string; arguments: string };
  provider_specific_fields?: ProviderSpecificFields | null;
  [key: string]: unknown;
}

/** The output limit the client named, in tokens; `undefined` when it named none. */
export function requestedMaxOutputTokens(request: ChatRequest): number | undefined {
  return request.max_completion_tokens ?? request.max_tokens ?? undefined;
}
