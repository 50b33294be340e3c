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
  if (namesCachedContent(request)) sum.addElsewhere();
  return sum;
}

/** Gemini's, which is as large as whoever made it wanted it. */
function namesCachedContent(fields: Readonly<Record<string, unknown>>): boolean {
  if (fields['cached_content'] != null || fields['cachedContent'] != null) return true;
  const google = asObject(asObject(fields['extra_body'])?.['google']);
  return google !== undefined && namesCachedContent({ ...google, extra_body: undefined });
}

/** Of a part that Gemini is given back as it gave it. */
const NAMES_A_FILE = /"file_?uri"/i;

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
    if (message.provider_specific_fields) this.#addOpaque(message.provider_specific_fields);
    if (message.tool_calls) this.addJson(message.tool_calls);
    // Of an assistant's turn, as Gemini draws them.
    if (Array.isArray(message['images']))
      for (const image of message['images']) this.#addImage(asObject(image)?.['image_url']);
  }

  addTools(request: ChatRequest): void {
    this.overheadTokens += TOKENS_FOR_TOOLS;
    if (request.tools) this.addJson(request.tools);
    if (request.functions) this.addJson(request.functions);
  }

  addJson(value: unknown): void {
    this.#addText(JSON.stringify(value) ?? '');
  }

  /** What lies elsewhere (an id, an address) may be of any size. */
  addElsewhere(): void {
    this.documentTokens += this.contextWindow;
  }

  #addText(text: string): void {
    this.textBytes += Buffer.byteLength(text);
  }

  #addOpaque(fields: object): void {
    const json = JSON.stringify(fields);
    this.#addText(json);
    if (NAMES_A_FILE.test(json)) this.addElsewhere();
  }

  #addPart(part: ContentPart): void {
    if (isText(part)) this.#addText(part.text);
    else if (isImage(part)) this.#addImage(part['image_url']);
    else if (isAudio(part)) this.audioTokens += audioTokens(part.input_audio);
    else if (isFile(part)) this.#addFile(part.file);
    else this.#addOther(part);
  }

  /** Under this name some vendors take documents and films, too. */
  #addImage(image: unknown): void {
    const url = asObject(image)?.['url'] ?? image;
    if (typeof url !== 'string' || /^(?:data:image\/|https?:)/i.test(url)) this.#addPicture();
    else this.#addMedia(url);
    if (typeof url === 'string' && this.#mayNameMore(url, asObject(image))) this.addElsewhere();
  }

  /** Gemini takes whatever there is at an address, unless address or stated type says that it is an image. */
  #mayNameMore(url: string, image: Readonly<Record<string, unknown>> | undefined): boolean {
    if (NAMES_MORE.test(url)) return true;
    if (!TAKES_ANYTHING.test(this.upstreamModel) || !/^https?:/i.test(url) || NAMES_AN_IMAGE.test(url))
      return false;
    return ![image?.['mime_type'], image?.['format']].some((type) => /^image\//i.test(String(type)));
  }

  #addPicture(): void {
    this.imageTokens += MULTIPLIES_IMAGES.test(this.upstreamModel)
      ? TOKENS_PER_IMAGE_MULTIPLIED
      : TOKENS_PER_IMAGE;
  }

  #addFile(file: { readonly file_data?: unknown }): void {
    this.#addMedia(file.file_data);
  }

  /** @param data  base64, as a data URL or alone; anything else lies elsewhere */
  #addMedia(data: unknown): void {
    if (typeof data !== 'string' || /^[a-z]+:\/\//i.test(data)) this.addElsewhere();
    else this.documentTokens += base64Bytes(data) * TOKENS_PER_DOCUMENT_BYTE + TOKENS_PER_IMAGE;
  }

  #addOther(part: ContentPart): void {
    if (this.#addOwnMedia(part)) return;
    this.addJson(part);
    // Of a tool's result, which holds no further ones.
    const { content } = part;
    if (Array.isArray(content)) for (const inner of content) this.#addOwnMedia(asObject(inner) ?? {});
  }

  /** Media as only some vendors name them. @returns false for other parts */
  #addOwnMedia(part: Readonly<Record<string, unknown>>): boolean {
    const source = asObject(part['source']);
    switch (part['type']) {
      case 'image':
      case 'input_image':
        this.#addPicture();
        return true;
      case 'input_file':
        this.#addMedia(part['file_data']);
        return true;
      case 'video_url':
      case 'audio_url': {
        const media = part[part['type']];
        this.#addMedia(asObject(media)?.['url'] ?? media);
        return true;
      }
      case 'document':
        if (source?.['type'] === 'text' || source?.['type'] === 'content') return false;
        this.#addMedia(source?.['data']);
        return true;
      default:
        return false;
    }
  }
}

const TAKES_ANYTHING = /gemini/i;
const NAMES_AN_IMAGE = /^https?:[^?#]*\.(?:png|jpe?g|webp|gif|heic|heif)(?:[?#]|$)/i;
/** Documents, films and sounds; Google has some of them itself. */
const NAMES_MORE =
  /^https?:(?:\/\/(?:(?:\w+\.)?youtube\.com|youtu\.be|generativelanguage\.googleapis\.com)\/|[^?#]*\.(?:pdf|mp4|mpe?g|mov|avi|webm|wmv|flv|3gp|mp3|wav|flac|ogg|aac|aiff|m4a)(?:[?#]|$))/i;

function asObject(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
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
