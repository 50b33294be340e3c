import type { ContentPart } from '@app/contracts';
import type { ExactJsonParser } from '../../text/exact-json.js';
import { type DataUrl, IS_DATA_URL, readDataUrl } from '../translation/data-url.js';
import { mediaTypeOf, PDF } from '../translation/media-type.js';
import type { ToolUseIds } from './anthropic.ids.js';
import type { ModelTraits } from './anthropic.traits.js';
import { invalidBody, type UnsupportedParams } from '../translation/unsupported-params.js';
import { isObject, isThinking, type JsonObject, textOf, type WireBlock } from './anthropic.wire.js';

/** References to uploaded files are still in beta. */
const FILES_BETA = 'files-api-2025-04-14';

/** Blocks that change the tools in the middle of a conversation, also in beta. */
const TOOL_CHANGES_BETA = 'mid-conversation-tool-changes-2026-07-01';
const TOOL_CHANGES = new Set(['tool_addition', 'tool_removal']);

/** Anthropic's own blocks: passed on unchanged when they come as content parts. */
const NATIVE_BLOCKS = new Set([
  'image',
  'document',
  'search_result',
  'container_upload',
  'tool_reference',
  'thinking',
  'redacted_thinking',
  'browser_state',
  'tool_use',
  'tool_result',
  'server_tool_use',
  'web_search_tool_result',
  'web_fetch_tool_result',
  'advisor_tool_result',
  'code_execution_tool_result',
  'bash_code_execution_tool_result',
  'text_editor_code_execution_tool_result',
  'tool_search_tool_result',
  'mcp_tool_use',
  'mcp_tool_result',
  'mcp_tool_listing',
  'compaction',
  'fallback',
]);

export interface ContentContext {
  readonly traits: ModelTraits;
  readonly unsupported: UnsupportedParams;
  /** For the arguments of tool calls. */
  readonly exactJson: ExactJsonParser;
  readonly toolUseIds: ToolUseIds;
  /** Beta features that translated parts need; sent in the header `anthropic-beta`. */
  readonly betas: Set<string>;
}

/**
 * The content of a message -> Anthropic's blocks. Blank text is left out: Anthropic refuses it.
 *
 * @param path  where the content is in the request, for errors: `messages[2].content`
 * @throws GatewayError  `unsupported_parameter` for a part that Anthropic does not support, `invalid_body` for a malformed one
 */
export function toBlocks(
  content: string | readonly ContentPart[] | null | undefined,
  path: string,
  context: ContentContext,
): WireBlock[] {
  if (typeof content === 'string') return textBlocks(content, undefined);
  return (content ?? []).flatMap((part, index) => {
    const at = `${path}[${index}]`;
    return takenBlocks(partBlocks(part, at, context), at, context);
  });
}

/** Refuses, or leaves out, what a text-only model does not accept. */
export function takenBlocks(
  blocks: WireBlock[],
  path: string,
  { traits, unsupported }: ContentContext,
): WireBlock[] {
  if (!traits.textOnly) return blocks;
  return blocks.filter((block) => {
    if (block.type === 'text' || isThinking(block)) return true;
    unsupported.refuse(path, `contains a block of the type ${block.type}, but this model accepts only text`);
    return false;
  });
}

export function textBlocks(text: string, cacheControl: unknown): WireBlock[] {
  return text.trim() === '' ? [] : [withCacheControl({ type: 'text', text }, cacheControl)];
}

export function withCacheControl(block: WireBlock, cacheControl: unknown): WireBlock {
  return isObject(cacheControl) ? { ...block, cache_control: cacheControl } : block;
}

function partBlocks(part: ContentPart, path: string, context: ContentContext): WireBlock[] {
  switch (part.type) {
    case 'text':
      return textBlocks(textOf(part.text), part.cache_control);
    case 'refusal':
      return textBlocks(textOf(part.refusal), part.cache_control);
    case 'image_url':
      return [withCacheControl(imageBlock(part, path), part.cache_control)];
    case 'file':
      return fileBlocks(part, path, context).map((block) => withCacheControl(block, part.cache_control));
    default:
      return otherBlocks(part, path, context);
  }
}

function otherBlocks(part: ContentPart, path: string, context: ContentContext): WireBlock[] {
  if (isUnsigned(part)) return [];
  if (NATIVE_BLOCKS.has(part.type)) {
    if (isObject(part.source) && part.source.type === 'file') context.betas.add(FILES_BETA);
    return [part];
  }
  if (TOOL_CHANGES.has(part.type) && isReference(part.tool)) {
    context.betas.add(TOOL_CHANGES_BETA);
    return [part];
  }
  context.unsupported.refuse(
    path,
    `has the type ${JSON.stringify(part.type)}, which Anthropic does not accept`,
  );
  return [];
}

/** References only: money is held for the tools of the request, not for one that a message defines. */
function isReference(tool: unknown): boolean {
  return isObject(tool) && textOf(tool.type).endsWith('_reference');
}

/** Anthropic refuses thinking without its own signature. */
export function isUnsigned(block: WireBlock): boolean {
  return block.type === 'thinking' && textOf(block.signature) === '';
}

const ADDRESS = /^https?:\/\//i;

/** Clients send PDFs as images, too, and some send the URL without an object around it. */
function imageBlock(part: ContentPart, path: string): WireBlock {
  const image = part.image_url;
  const url = textOf(isObject(image) ? image.url : image);
  if (!IS_DATA_URL.test(url)) {
    return {
      type: mediaTypeOf(url) === PDF ? 'document' : 'image',
      source: urlSource(url, `${path}.image_url.url`),
    };
  }
  const dataUrl = readDataUrl(url, `${path}.image_url.url`);
  return dataUrl.mediaType === PDF ? inlineDocument(dataUrl) : inlineImage(dataUrl);
}

function inlineDocument({ mediaType, base64 }: DataUrl): WireBlock {
  const data = standardBase64(base64());
  return { type: 'document', source: { type: 'base64', media_type: mediaType, data } };
}

/** Anthropic refuses an image whose media type does not match its bytes, which clients often get wrong. */
function inlineImage({ mediaType, base64 }: DataUrl): WireBlock {
  const data = standardBase64(base64());
  const named = mediaType === 'image/jpg' ? 'image/jpeg' : mediaType;
  return { type: 'image', source: { type: 'base64', media_type: imageTypeOf(data) ?? named, data } };
}

/** By its first bytes, in hexadecimal. */
const IMAGE_TYPES: readonly (readonly [start: RegExp, mediaType: string])[] = [
  [/^ffd8ff/, 'image/jpeg'],
  [/^89504e470d0a1a0a/, 'image/png'],
  [/^47494638/, 'image/gif'],
  [/^52494646.{8}57454250/, 'image/webp'],
];

function imageTypeOf(base64: string): string | undefined {
  const start = Buffer.from(base64.slice(0, 16), 'base64').toString('hex');
  return IMAGE_TYPES.find(([pattern]) => pattern.test(start))?.[1];
}

function fileBlocks(part: ContentPart, path: string, context: ContentContext): WireBlock[] {
  const file = isObject(part.file) ? part.file : {};
  const extras = documentExtras(part, file);
  const named = statedType(file.format) || statedType(file.mime_type);
  const blockOf = (source: JsonObject, isImage: boolean): WireBlock =>
    isImage ? { type: 'image', source } : { type: 'document', source, ...extras };
  const url = addressOf(file);
  if (url !== undefined) {
    const type = named || mediaTypeOf(url);
    return [blockOf(urlSource(url, `${path}.file.file_url`), type?.startsWith('image/') === true)];
  }
  if (typeof file.file_id === 'string') {
    context.betas.add(FILES_BETA);
    return [blockOf({ type: 'file', file_id: file.file_id }, named.startsWith('image/'))];
  }
  if (typeof file.file_data !== 'string') {
    throw invalidBody(`${path}.file`, 'must have file_data, file_url or file_id');
  }
  return documentBlocks(dataUrlOf(file.file_data, textOf(file.filename), named), extras, path, context);
}

/** `''` for what is not a media type (`txt`) or says nothing: the filename or the URL decides then. */
function statedType(named: unknown): string {
  const type = textOf(named).toLowerCase();
  if (type === 'pdf') return PDF;
  return type.includes('/') && !type.startsWith('application/octet-stream') ? type : '';
}

/** LiteLLM's clients send a URL as `file_id`, OpenRouter's as `file_data`. */
function addressOf(file: JsonObject): string | undefined {
  if (typeof file.file_url === 'string') return file.file_url;
  return [file.file_id, file.file_data].map(textOf).find((value) => ADDRESS.test(value));
}

function documentBlocks(url: string, extras: JsonObject, path: string, context: ContentContext): WireBlock[] {
  const dataUrl = readDataUrl(url, `${path}.file.file_data`);
  const { mediaType = 'text/plain', text } = dataUrl;
  if (mediaType === PDF) return [{ ...inlineDocument(dataUrl), ...extras }];
  if (mediaType.startsWith('image/')) return [inlineImage(dataUrl)];
  if (isTextual(mediaType)) {
    return [
      { type: 'document', source: { type: 'text', media_type: 'text/plain', data: text() }, ...extras },
    ];
  }
  context.unsupported.refuse(path, `is a file of type ${mediaType}; Anthropic accepts PDF, text and images`);
  return [];
}

/** What Anthropic accepts beside a document's bytes. The filename becomes the title. */
function documentExtras(part: ContentPart, file: JsonObject): JsonObject {
  const extras: JsonObject = {};
  const title = part.title ?? file.filename;
  if (typeof title === 'string' && title !== '') extras.title = title;
  if (typeof part.context === 'string') extras.context = part.context;
  if (isObject(part.citations)) extras.citations = part.citations;
  return extras;
}

function isTextual(mediaType: string): boolean {
  return mediaType.startsWith('text/') || mediaType === 'application/json' || mediaType === 'application/xml';
}

function urlSource(url: string, path: string): JsonObject {
  if (!ADDRESS.test(url)) throw invalidBody(path, 'must be an https: or data: URL');
  return { type: 'url', url };
}

/** OpenAI's `file_data` is a data URL. Some clients send bare base64; then the stated type or the filename says what it is. */
function dataUrlOf(data: string, filename: string, named: string): string {
  if (IS_DATA_URL.test(data)) return data;
  const guess = mediaTypeOf(filename);
  return `data:${named || (guess !== undefined && isTextual(guess) ? 'text/plain' : PDF)};base64,${data}`;
}

/** Anthropic accepts the standard alphabet only. */
function standardBase64(data: string): string {
  return data.includes('-') || data.includes('_') ? data.replaceAll('-', '+').replaceAll('_', '/') : data;
}
