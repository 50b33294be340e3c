import {
  type ChatMessage,
  type ContentPart,
  type JsonBounds,
  JsonBudget,
  type ToolCall,
} from '@app/contracts';
import { AnsweredCalls } from '../translation/answered-calls.js';
import { losesDigits } from '../../text/exact-json.js';
import { toGeminiPart } from './google.media.js';
import { CALL_ID_PREFIX } from './google.response.js';
import { readLayout, readSignature, rebuildTurn } from './google.turn.js';
import { invalidBody, type UnsupportedParams } from '../translation/unsupported-params.js';
import { type GeminiContent, type GeminiPart, isObject, type JsonObject, text } from './google.wire.js';

interface TranslatedMessages {
  readonly contents: GeminiContent[];
  readonly systemInstruction: GeminiContent | undefined;
}

interface MessageOptions {
  /** The model refuses a call of an earlier turn without its signature. */
  readonly demandsSignatures: boolean;
  /** The model refuses a model turn whose first part, or one of whose images, has no signature. */
  readonly demandsImageSignatures: boolean;
  /** The model accepts images and documents inside a tool result. */
  readonly mediaInResults: boolean;
}

/**
 * Replaces the signature of a part that another provider's model made, or whose signature the client lost. Google documents it for
 * conversations from other models; it disables the check for that part.
 *
 * @see https://ai.google.dev/gemini-api/docs/thought-signatures, read 2026-11-20
 */
export const STAND_IN_SIGNATURE = 'skip_thought_signature_validator';

/**
 * Messages -> `contents` and `systemInstruction`.
 *
 * Leading system and developer messages become the instruction. Later ones become the user's text in their place, because Gemini
 * has no role for them. Consecutive messages of one role become one content, but tool results stay apart from the user's text. A
 * `name` is written before the text. Empty texts and messages are left out, because Gemini refuses them.
 *
 * @throws GatewayError  `invalid_body` for arguments that are not JSON, and for results of unknown calls
 */
export function translateMessages(
  messages: readonly ChatMessage[],
  options: MessageOptions,
  unsupported: UnsupportedParams,
): TranslatedMessages {
  const leading = messages.findIndex((message) => !isInstruction(message));
  const instructions = leading < 0 ? messages.length : leading;
  const builder = new ContentsBuilder(options, unsupported);
  const system = messages.slice(0, instructions).flatMap((message, at) => builder.spoken(message, at));
  for (let at = instructions; at < messages.length; at += 1) builder.add(messages[at], at);
  const contents = builder.finish();
  if (contents.length === 0) return withoutContents(system, leading < 0);
  return { contents, systemInstruction: instruction(system) };
}

/** The text of a turn that is required but empty: Vertex AI refuses an empty text. */
const BLANK: GeminiPart = { text: ' ' };

/** Gemini requires at least one content: an empty one, or the instructions if there is nothing else. */
function withoutContents(system: GeminiPart[], systemOnly: boolean): TranslatedMessages {
  const said = systemOnly && system.length > 0 ? system : [BLANK];
  return {
    contents: [{ role: 'user', parts: said }],
    systemInstruction: systemOnly ? undefined : instruction(system),
  };
}

function instruction(parts: GeminiPart[]): GeminiContent | undefined {
  return parts.length > 0 ? { parts } : undefined;
}

function isInstruction(message: ChatMessage): boolean {
  return message.role === 'system' || message.role === 'developer';
}

interface KnownCall {
  readonly name: string;
  /** Gemini's own id, or another provider's; `undefined` if the gateway made it. */
  readonly geminiId: string | undefined;
  /** Position among all calls of the conversation. */
  readonly order: number;
}

interface PendingResult {
  readonly part: GeminiPart;
  /** What the result cannot hold, with its name: becomes the user's content after all results. */
  readonly beside: readonly GeminiPart[];
  readonly order: number;
}

interface ResultContent {
  /** Fields of `functionResponse`. */
  readonly fields: JsonObject;
  readonly beside: readonly GeminiPart[];
}

type Kind = 'user' | 'model' | 'tool';

/** Builds the contents message by message, and remembers the calls. */
class ContentsBuilder {
  readonly #contents: GeminiContent[] = [];
  readonly #calls = new AnsweredCalls<KnownCall>();
  #results: PendingResult[] = [];
  #callCount = 0;
  readonly #readable = new JsonBudget(READ_BOUNDS);
  #lastKind: Kind | undefined;

  constructor(
    private readonly options: MessageOptions,
    private readonly unsupported: UnsupportedParams,
  ) {}

  add(message: ChatMessage | undefined, at: number): void {
    if (!message) return;
    if (message.role !== 'assistant') this.#calls.endTurn();
    if (message.role === 'tool' || message.role === 'function') {
      this.#results.push(this.#result(message, `messages[${at}]`));
      return;
    }
    this.#flushResults();
    if (message.role === 'assistant') this.#append('model', this.#turn(message, `messages[${at}]`));
    else this.#append('user', this.spoken(message, at));
  }

  finish(): GeminiContent[] {
    this.#flushResults();
    const [first] = this.#contents;
    // Gemini answers 400 to a call that follows neither a user turn nor tool results.
    const beginsWithCall = first?.role === 'model' && first.parts.some(({ functionCall }) => functionCall);
    return beginsWithCall ? [{ role: 'user', parts: [BLANK] }, ...this.#contents] : this.#contents;
  }

  /** The content of a user or system message, as parts. */
  spoken(message: ChatMessage, at: number): GeminiPart[] {
    const parts = this.#parts(message.content, `messages[${at}].content`);
    return message.name && parts.length > 0 ? named(message.name, parts) : parts;
  }

  #append(kind: Kind, parts: GeminiPart[]): void {
    if (parts.length === 0) return;
    const last = this.#contents.at(-1);
    if (last && this.#lastKind === kind) last.parts.push(...parts);
    else this.#contents.push({ role: kind === 'model' ? 'model' : 'user', parts });
    this.#lastKind = kind;
  }

  #parts(content: ChatMessage['content'], path: string): GeminiPart[] {
    if (typeof content === 'string') return content === '' ? [] : [{ text: content }];
    const parts = (content ?? []).map((part, at) => toGeminiPart(part, `${path}[${at}]`, this.unsupported));
    return parts.filter((part) => part !== undefined).filter((part) => part.text !== '');
  }

  #turn(message: ChatMessage, path: string): GeminiPart[] {
    if (message.audio) this.unsupported.refuse(`${path}.audio`);
    const calls = this.#toolCalls(message, path);
    const layout = readLayout(message.provider_specific_fields);
    const said = this.#said(message, path);
    const images = this.#images(message, path);
    if (!layout) return this.#vouchedFor([...said, ...images, ...calls]);
    const legacy = layout.some((entry) => isObject(entry.functionCall));
    if (legacy) for (const entry of layout) this.#rememberLegacy(entry);
    const parts = rebuildTurn(layout, {
      content: said.map((part) => part.text ?? '').join(''),
      reasoning: text(message.reasoning_content) ?? '',
      toolCalls: legacy ? [] : calls,
      images,
    });
    return this.#vouchedFor(parts);
  }

  /** The text of an assistant turn. The last part gets the signature that came without a layout. */
  #said(message: ChatMessage, path: string): GeminiPart[] {
    const parts = this.#parts(message.content, `${path}.content`);
    if (parts.length === 0 && message.refusal) return [{ text: message.refusal }];
    const signature = readSignature(message);
    const last = parts.at(-1);
    if (last && signature) last.thoughtSignature = signature;
    return parts;
  }

  #images(message: ChatMessage, path: string): GeminiPart[] {
    const images: unknown[] = Array.isArray(message.images) ? message.images : [];
    const parts = images.filter(isImagePart).map((image, at) => {
      return toGeminiPart(image, `${path}.images[${at}]`, this.unsupported);
    });
    return parts.filter((part) => part !== undefined);
  }

  #toolCalls(message: ChatMessage, path: string): GeminiPart[] {
    const calls = (message.tool_calls ?? []).map((call, at) =>
      this.#toolCall(call, `${path}.tool_calls[${at}]`),
    );
    if (calls.length > 0 || !message.function_call) return calls.filter((call) => call !== undefined);
    const call = { id: '', type: 'function' as const, function: message.function_call };
    const legacy = this.#toolCall(call, `${path}.function_call`, message.function_call.name);
    return legacy ? [legacy] : [];
  }

  #toolCall(call: ToolCall, path: string, key = call.id): GeminiPart | undefined {
    if (!isObject(call.function)) {
      this.unsupported.refuse(`${path}.type`);
      return undefined;
    }
    const { name } = call.function;
    const geminiId = call.id && !call.id.startsWith(CALL_ID_PREFIX) ? call.id : undefined;
    const known = this.#remember(key, name, geminiId);
    const signature = readSignature(call);
    const fields = isObject(call.provider_specific_fields) ? call.provider_specific_fields : {};
    return {
      functionCall: {
        ...(isObject(fields.function_call) ? fields.function_call : {}),
        name,
        args: parseArguments(call.function.arguments, `${path}.function.arguments`),
        ...(known.geminiId ? { id: known.geminiId } : {}),
      },
      ...(isObject(fields.part) ? fields.part : {}),
      ...(signature ? { thoughtSignature: signature } : {}),
    };
  }

  #rememberLegacy(entry: JsonObject): void {
    if (!isObject(entry.functionCall)) return;
    const name = text(entry.functionCall.name) ?? '';
    // The message has it, too, but without the id.
    this.#calls.forget(name);
    this.#remember(name, name, text(entry.functionCall.id));
  }

  #remember(key: string, name: string, geminiId: string | undefined): KnownCall {
    const call = { name, geminiId, order: this.#callCount++ };
    this.#calls.add(key, call);
    return call;
  }

  /** Adds stand-in signatures. Only the first call of a turn has one; without it, the turn is another provider's. */
  #vouchedFor(parts: GeminiPart[]): GeminiPart[] {
    const calls = parts.filter((part) => part.functionCall !== undefined);
    const isSigned = calls.some(hasSignature) || !this.options.demandsSignatures;
    const demanded = new Set(isSigned ? [] : calls.slice(0, 1));
    if (this.options.demandsImageSignatures)
      for (const part of parts) if (part === parts[0] || part.inlineData) demanded.add(part);
    if (demanded.size === 0) return parts;
    return parts.map((part) =>
      demanded.has(part) && !hasSignature(part) ? { ...part, thoughtSignature: STAND_IN_SIGNATURE } : part,
    );
  }

  #result(message: ChatMessage, path: string): PendingResult {
    const key = message.role === 'tool' ? message.tool_call_id : message.name;
    const call = key === undefined ? undefined : this.#calls.answer(key);
    const name = call?.name ?? message.name;
    if (name === undefined)
      throw invalidBody(`${path}.tool_call_id`, 'does not answer any tool call in the messages before it');
    const id = call?.geminiId;
    const { fields, beside } = this.#answer(message, path);
    return {
      part: { functionResponse: { ...(id ? { id } : {}), name, ...fields } },
      beside: beside.length > 0 ? named(name, [...beside]) : [],
      order: call?.order ?? Number.MAX_SAFE_INTEGER,
    };
  }

  /** Text becomes the response. Images and documents go beside it, where the model accepts them. */
  #answer(message: ChatMessage, path: string): ResultContent {
    const parts = this.#parts(message.content, `${path}.content`);
    const said = parts.map((part) => part.text).filter((part) => part !== undefined);
    const media = parts.filter((part) => part.text === undefined);
    const isInside = (part: GeminiPart) => this.options.mediaInResults && fitsIntoResult(part);
    const inside = media.filter(isInside);
    const response = this.#response(said.join('\n'), message.is_error === true);
    const fields = { response, ...(inside.length > 0 ? { parts: inside } : {}) };
    return { fields, beside: media.filter((part) => !isInside(part)) };
  }

  /**
   * It has to be an object: a JSON object stays as it is, anything else goes into `output`, the key that Google documents, or into
   * `error` if the client marks it as an error, as Anthropic's clients do.
   */
  #response(content: string, isError: boolean): JsonObject {
    const isRead = looksLikeJson(content) && !REFERENCE.test(content) && this.#readable.covers(content);
    const value = isRead ? readResult(content) : content;
    if (isError) return { error: value };
    return isObject(value) ? value : { output: value };
  }

  /** In the order of the calls: without ids, Gemini matches results by name and position. */
  #flushResults(): void {
    const results = this.#results.toSorted((a, b) => a.order - b.order);
    this.#results = [];
    this.#append(
      'tool',
      results.map((result) => result.part),
    );
    this.#append(
      'user',
      results.flatMap((result) => result.beside),
    );
  }
}

function named(name: string, parts: GeminiPart[]): GeminiPart[] {
  const [first, ...rest] = parts;
  if (first?.text !== undefined) return [{ ...first, text: `${name}: ${first.text}` }, ...rest];
  return [{ text: `${name}:` }, ...parts];
}

const RESULT_MEDIA = new Set(['image/png', 'image/jpeg', 'image/webp', 'application/pdf', 'text/plain']);

/** Of these types, inline, and without further fields. */
function fitsIntoResult(part: GeminiPart): boolean {
  return Object.keys(part).length === 1 && RESULT_MEDIA.has(part.inlineData?.mimeType ?? '');
}

function hasSignature(part: GeminiPart): boolean {
  return part.thoughtSignature !== undefined;
}

function isImagePart(image: unknown): image is ContentPart {
  return isObject(image) && image.type === 'image_url';
}

/** A call without arguments may have become `""` in a stream. */
function parseArguments(json: string, path: string): JsonObject {
  if (json.trim() === '') return {};
  const args = parseJson(json);
  if (!isObject(args)) throw invalidBody(path, 'is not a JSON object');
  return args;
}

/** For all results of a request: they are parsed without a pause, and megabytes of names would block the process. */
const READ_BOUNDS: JsonBounds = { depth: 500, values: 200_000, containers: 200_000, names: 20_000 };

/** The object or list that a tool's text is, otherwise the text. */
function readResult(content: string): unknown {
  const value = losesDigits(content) ? undefined : parseJson(content);
  return typeof value === 'object' ? value : content;
}

/**
 * In a response, `$ref` names a part beside it. The references of a schema (OpenAPI, MCP) do not, and Gemini answers 400.
 *
 * @see https://github.com/vercel/ai/issues/14369, https://github.com/googleapis/python-genai/issues/2792
 */
const REFERENCE = /"\$ref"/;

function looksLikeJson(content: string): boolean {
  return /^\s*[{[]/.test(content);
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
