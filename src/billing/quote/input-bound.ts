import type { ChatMessage, ChatRequest, ContentPart } from '@app/contracts';

/** What a request sends in, by kind, in tokens at most (uncut). */
export interface InputBound {
  /** UTF-8 bytes of all text: never less than its tokens. */
  readonly textBytes: number;
  /** What frames messages and tools. */
  readonly overheadTokens: number;
  readonly audioTokens: number;
  readonly imageTokens: number;
  readonly documentTokens: number;
}

/**
 * All of it together. Never above the model's context window, which the provider enforces.
 * @param textTokens  a tighter bound of the text, when it was counted
 */
export function totalTokens(bound: InputBound, contextWindow: number, textTokens = bound.textBytes): number {
  const { overheadTokens, audioTokens, imageTokens, documentTokens } = bound;
  return Math.min(contextWindow, textTokens + overheadTokens + audioTokens + imageTokens + documentTokens);
}

/** Roles, separators and the like around each message, by the dialect that spends most on it. */
const TOKENS_PER_MESSAGE = 16;
const TOKENS_PER_REQUEST = 64;
/** Anthropic puts a system prompt of its own in front of tools: 313 to 530 tokens by its documentation. */
const TOKENS_FOR_TOOLS = 600;

/**
 * Largest images, by the vendors' published formulas: Anthropic 4,784 (high resolution), Gemini 16 tiles × 258,
 * OpenAI 1,445 (tiles) or 3,779 (patches). Some small OpenAI models bill a tile 33-fold: `gpt-4o-mini` 48,169.
 */
const TOKENS_PER_IMAGE = 5_000;
const TOKENS_PER_IMAGE_MULTIPLIED = 48_200;
const MULTIPLIES_IMAGES = /gpt-4o-mini/;

/** Gemini counts 32 tokens a second, OpenAI 10. The lowest usual bit rates: 8 kB/s for PCM, 1 kB/s for compressed audio. */
const AUDIO_TOKENS_PER_SECOND = 32;
const PCM_BYTES_PER_SECOND = 8_000;
const COMPRESSED_BYTES_PER_SECOND = 1_000;

/** Pages are billed as text and as an image each, and text is compressed inside. Cut at the context window anyway. */
const TOKENS_PER_DOCUMENT_BYTE = 4;

/**
 * The most tokens a request's input can be, in a few microseconds: a token of a byte-level tokenizer is at least one
 * byte, so text is at most its UTF-8 bytes.
 *
 * @param contextWindow  stands in for a document that lies elsewhere
 */
export function boundInput(request: ChatRequest, upstreamModel: string, contextWindow: number): InputBound {
  const sum = new InputSum(upstreamModel, contextWindow);
  for (const message of request.messages) sum.addMessage(message);
  if (request.tools?.length || request.functions?.length) sum.addTools(request);
  if (request.response_format?.type === 'json_schema') sum.addJson(request.response_format.json_schema);
  return sum;
}

class InputSum implements InputBound {
  textBytes = 0;
  overheadTokens = TOKENS_PER_REQUEST;
  audioTokens = 0;
  imageTokens = 0;
  documentTokens = 0;

  constructor(
    private readonly upstreamModel: string,
    private readonly contextWindow: number,
  ) {}

  addMessage(message: ChatMessage): void {
    this.overheadTokens += TOKENS_PER_MESSAGE;
    if (typeof message.content === 'string') this.#addText(message.content);
    else if (Array.isArray(message.content)) for (const part of message.content) this.#addPart(part);
    if (message.name) this.#addText(message.name);
    if (message.reasoning_content) this.#addText(message.reasoning_content);
    if (message.refusal) this.#addText(message.refusal);
    if (message.function_call) this.addJson(message.function_call);
    if (message.provider_specific_fields) this.addJson(message.provider_specific_fields);
    if (message.tool_calls) this.addJson(message.tool_calls);
  }

  addTools(request: ChatRequest): void {
    this.overheadTokens += TOKENS_FOR_TOOLS;
    if (request.tools) this.addJson(request.tools);
    if (request.functions) this.addJson(request.functions);
  }

  addJson(value: unknown): void {
    this.#addText(JSON.stringify(value) ?? '');
  }

  #addText(text: string): void {
    this.textBytes += Buffer.byteLength(text);
  }

  #addPart(part: ContentPart): void {
    if (isText(part)) this.#addText(part.text);
    else if (isImage(part)) {
      this.imageTokens += MULTIPLIES_IMAGES.test(this.upstreamModel)
        ? TOKENS_PER_IMAGE_MULTIPLIED
        : TOKENS_PER_IMAGE;
    } else if (isAudio(part)) this.audioTokens += audioTokens(part.input_audio);
    else if (isFile(part)) this.#addFile(part.file);
    else this.addJson(part);
  }

  /** What lies elsewhere (an id, an address) may be of any size. */
  #addFile(file: { readonly file_data?: unknown }): void {
    const data = typeof file.file_data === 'string' ? file.file_data : undefined;
    this.documentTokens +=
      data === undefined
        ? this.contextWindow
        : base64Bytes(data) * TOKENS_PER_DOCUMENT_BYTE + TOKENS_PER_IMAGE;
  }
}

function audioTokens(audio: { readonly data?: unknown; readonly format?: unknown }): number {
  const bytes = typeof audio.data === 'string' ? base64Bytes(audio.data) : 0;
  const isPcm = audio.format === 'wav' || audio.format === 'pcm16';
  const seconds = bytes / (isPcm ? PCM_BYTES_PER_SECOND : COMPRESSED_BYTES_PER_SECOND);
  return Math.ceil(seconds * AUDIO_TOKENS_PER_SECOND) + AUDIO_TOKENS_PER_SECOND;
}

function base64Bytes(text: string): number {
  return Math.ceil((text.length * 3) / 4);
}

function isText(part: ContentPart): part is { type: 'text'; text: string } {
  return part.type === 'text' && typeof part['text'] === 'string';
}

function isImage(part: ContentPart): boolean {
  return part.type === 'image_url';
}

function isAudio(
  part: ContentPart,
): part is { type: 'input_audio'; input_audio: { data: string; format: string } } {
  return (
    part.type === 'input_audio' && typeof part['input_audio'] === 'object' && part['input_audio'] !== null
  );
}

function isFile(part: ContentPart): part is { type: 'file'; file: { file_data?: string } } {
  return part.type === 'file' && typeof part['file'] === 'object' && part['file'] !== null;
}
