import type { ChatMessage, ChatRequest, ContentPart, ToolCall } from '@app/contracts';
import { asObject, type Fields, IS_LINK, MediaSum } from './media-sum.js';

/** What a request sends in, by kind, in tokens at most (uncut). */
export interface InputBound {
  /** UTF-8 bytes of all text: never less than its tokens. */
  readonly textBytes: number;
  /** What frames messages and tools. */
  readonly overheadTokens: number;
  /** Sound, and what may be sound: the dearest kind of input. */
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

/** Anthropic tells how to cite, and marks each sentence: 500 for a document of four, in recorded traffic. */
const TOKENS_FOR_CITATIONS = 1_000;
/** The longest answer of the models that speak. Earlier sound is sent back as an id only. */
const TOKENS_PER_EARLIER_SOUND = 16_384;

/**
 * The most tokens a request's input can be, in a few microseconds: a token of a byte-level tokenizer is at least one
 * byte, so text is at most its UTF-8 bytes. A field that is unknown here counts as text, since some server may read it, and
 * whatever in it names a file or an address counts as stored elsewhere.
 *
 * @param contextWindow  what something stored elsewhere counts as
 * @param texts          gets all that was taken for text
 */
export function boundInput(
  request: ChatRequest,
  upstreamModel: string,
  contextWindow: number,
  texts?: string[],
): InputBound {
  const sum = new InputSum(upstreamModel, contextWindow, texts);
  for (const message of request.messages) sum.addMessage(message);
  if (request.tools?.length || request.functions?.length) sum.addTools(request);
  if (request.response_format?.type === 'json_schema') sum.addFormat(request.response_format.json_schema);
  sum.addOtherFields(request);
  return sum;
}

/** Fields of a request that are added above, or that no model gets to read. */
const READ_ELSEWHERE = new Set([
  'model',
  'messages',
  'tools',
  'functions',
  'response_format',
  'stream_options',
  'logit_bias',
  'stop',
  'tool_choice',
  'function_call',
  'reasoning_effort',
  'user',
  'metadata',
  'service_tier',
  'modalities',
  'audio',
  'safety_identifier',
  'prompt_cache_key',
  'prompt_cache_retention',
  'verbosity',
]);

/** The value of such a field is fetched: an address, or the id of something stored, of whatever size. */
const NAMES_A_FILE = /^(?:(?:file|document|pdf|video|audio|media)_?(?:ur[il]|id)s?|cached_?content)$/i;

/** Parts that only mention addresses, as texts do. In any other unknown part an address is there to be fetched. */
const IS_TEXT =
  /^(?:input_|output_|summary_)?text$|thinking$|^(?:search_result|refusal|reasoning|compaction|fallback)$|^(?:server_|mcp_)?tool_|_tool_result$/;

/** Files that go to a tool, and names of what a tool made, found or cited: none of them is read by the model. */
const NAMES_FOR_TOOLS = /^container_upload$|_code_execution_output$|_location$/;

const IS_PICTURE = /^(?:image|input_image|computer_screenshot)$/;

/** Around a name and what stands under it. */
const PUNCTUATION = 4;

class InputSum extends MediaSum implements InputBound {
  textBytes = 0;
  overheadTokens = TOKENS_PER_REQUEST;

  constructor(
    upstreamModel: string,
    contextWindow: number,
    private readonly texts: string[] | undefined,
  ) {
    super(upstreamModel, contextWindow);
  }

  addMessage(message: ChatMessage): void {
    this.overheadTokens += TOKENS_PER_MESSAGE;
    for (const key in message) {
      const value = message[key];
      if (value === null || value === undefined) continue;
      switch (key) {
        case 'role':
        case 'cache_control':
          break;
        case 'content':
          this.#addContent(message.content);
          break;
        case 'tool_calls':
          this.#addCalls(message.tool_calls ?? []);
          break;
        case 'function_call':
        // These cite what was read before.
        case 'annotations':
          this.addJson(value);
          break;
        case 'images':
          this.#addImages(value);
          break;
        case 'audio':
          this.#addEarlierSound(value);
          break;
        case 'name':
        case 'refusal':
        case 'reasoning_content':
        case 'tool_call_id':
          if (typeof value === 'string') this.#addText(value);
          else this.addJson(value);
          break;
        default:
          this.#addField(key, value, false);
      }
    }
  }

  addTools(request: ChatRequest): void {
    this.overheadTokens += TOKENS_FOR_TOOLS;
    if (request.tools) this.addJson(request.tools);
    if (request.functions) this.addJson(request.functions);
  }

  /** It may be sent as a tool; otherwise, too, vendors put words in front of it. */
  addFormat(schema: unknown): void {
    this.overheadTokens += TOKENS_FOR_TOOLS;
    this.addJson(schema);
  }

  addOtherFields(request: ChatRequest): void {
    for (const key in request) {
      const value = request[key];
      if (typeof value !== 'object' && typeof value !== 'string') continue;
      if (value !== null && !READ_ELSEWHERE.has(key)) this.#addField(key, value, false);
    }
  }

  addJson(value: unknown): void {
    this.#addText(JSON.stringify(value) ?? '');
  }

  #addText(text: string): void {
    this.textBytes += Buffer.byteLength(text);
    this.texts?.push(text);
  }

  #addContent(content: ChatMessage['content']): void {
    if (typeof content === 'string') this.#addText(content);
    else if (Array.isArray(content)) for (const part of content) this.#addPart(part);
  }

  #addPart(part: ContentPart): void {
    if (part.type === 'text' && typeof part['text'] === 'string') this.#addText(part['text']);
    else if (part.type === 'image_url') this.addImage(part['image_url']);
    else this.#addAny(part, true);
  }

  #addCalls(calls: readonly ToolCall[]): void {
    if (calls.some((call) => call.provider_specific_fields)) this.#addAny(calls, false);
    else this.addJson(calls);
  }

  /** Bare base64, as Ollama takes it, or parts. */
  #addImages(images: unknown): void {
    if (!Array.isArray(images)) return this.#addAny(images, true);
    for (const image of images) {
      if (asObject(image)) this.#addAny(image, true);
      else this.addImage(typeof image === 'string' && IS_LINK.test(image) ? image : undefined);
    }
  }

  #addEarlierSound(audio: unknown): void {
    const { data, ...others } = asObject(audio) ?? { audio };
    this.audioTokens += TOKENS_PER_EARLIER_SOUND;
    if (data) this.addSound({ ...others, data });
    this.addJson(others);
  }

  /** @param isFetched  an address in it is there to be fetched */
  #addAny(value: unknown, isFetched: boolean): void {
    if (typeof value === 'string' && isFetched && IS_LINK.test(value)) this.addLink(value);
    else if (typeof value !== 'object' || value === null) this.addJson(value);
    else if (Array.isArray(value)) for (const each of value) this.#addAny(each, isFetched);
    else this.#addObject(value as Fields, isFetched);
  }

  #addObject(part: Fields, isFetched: boolean): void {
    const type = typeof part['type'] === 'string' ? part['type'] : '';
    if (IS_PICTURE.test(type)) return this.addImage(part['image_url']);
    if (type === 'file_search_call') return this.addJson(part);
    const areFetched = isFetched && !IS_TEXT.test(type);
    const namesOnly = NAMES_FOR_TOOLS.test(type);
    for (const key in part) {
      this.#addText(key);
      this.overheadTokens += PUNCTUATION;
      if (namesOnly && key === 'file_id') this.addJson(part[key]);
      else this.#addField(key, part[key], areFetched);
    }
  }

  #addField(key: string, value: unknown, isFetched: boolean): void {
    const fields = asObject(value);
    switch (key) {
      case 'image_url':
        return this.addImage(value);
      case 'input_audio':
        return this.addSound(fields ?? {});
      case 'file':
        if (fields) return this.addFile(fields);
        break;
      case 'file_data':
        if (!fields) return this.addData(value);
        break;
      case 'inlineData':
      case 'inline_data':
        return this.addInline(fields ?? {});
      case 'source':
        if (fields) return this.#addSource(fields);
        break;
      case 'citations':
        if (fields?.['enabled'] === true) this.overheadTokens += TOKENS_FOR_CITATIONS;
        break;
      // A tool's arguments.
      case 'input':
      case 'args':
      case 'arguments':
        return this.addJson(value);
    }
    if (NAMES_A_FILE.test(key)) this.addLink(value);
    else this.#addAny(value, isFetched);
  }

  /** Of Anthropic's documents. */
  #addSource(source: Fields): void {
    const { type, data, media_type: mediaType, url, file_id: id } = source;
    if (url || id) this.addElsewhere();
    if (type === 'base64') this.addData(data, typeof mediaType === 'string' ? mediaType : undefined);
    else this.#addObject(source, false);
  }
}
