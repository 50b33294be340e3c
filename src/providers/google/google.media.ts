import type { ContentPart } from '@app/contracts';
import { IS_DATA_URL, readDataUrl } from '../translation/data-url.js';
import { mediaTypeOf, PDF } from '../translation/media-type.js';
import { invalidBody, type UnsupportedParams } from '../translation/unsupported-params.js';
import { type GeminiPart, isObject, type JsonObject, text, toCamelCase } from './google.wire.js';

/** Base of the URI by which Google reads an uploaded file (`files/abc`). */
const FILES_URI = 'https://generativelanguage.googleapis.com/v1beta/';

/**
 * A content part of the client -> a part of Gemini. Data URLs go inline; other URLs (https, gs) are passed to Google, which
 * fetches them: the gateway never does. The hint `detail` of an image has no counterpart at Gemini.
 *
 * @param path  of the part, for errors
 * @returns     `undefined` if it was dropped
 * @throws      GatewayError  `unsupported_parameter` for types that Gemini does not support, `invalid_body` for empty ones
 */
export function toGeminiPart(
  part: ContentPart,
  path: string,
  unsupported: UnsupportedParams,
): GeminiPart | undefined {
  const translate = Object.hasOwn(KINDS, part.type) ? KINDS[part.type] : undefined;
  if (translate) return { ...translate(part, path), ...partOptions(part) };
  unsupported.refuse(`${path}.type`, `"${part.type}" is not supported by Google Gemini`);
  return undefined;
}

type Translate = (part: JsonObject, path: string) => GeminiPart;

const KINDS: Readonly<Record<string, Translate>> = {
  text: (part) => ({ text: text(part.text) ?? '' }),
  refusal: (part) => ({ text: text(part.refusal) ?? '' }),
  image_url: (part, path) => fromUrlField(part.image_url, `${path}.image_url`),
  video_url: (part, path) => fromUrlField(part.video_url, `${path}.video_url`),
  audio_url: (part, path) => fromUrlField(part.audio_url, `${path}.audio_url`),
  input_audio: (part, path) => fromAudio(part.input_audio, `${path}.input_audio`),
  file: (part, path) => fromFile(part.file, `${path}.file`),
};

/** Gemini's own fields of a part, beside OpenAI's or inside them. */
const PART_OPTIONS = new Set([
  'videoMetadata',
  'mediaResolution',
  'mediaProcessing',
  'partMetadata',
  'speechMetadata',
]);

function partOptions(part: JsonObject): JsonObject {
  const inner = [part.image_url, part.video_url, part.audio_url, part.input_audio, part.file].filter(
    isObject,
  );
  const fields = [...inner, part].flatMap((holder) => Object.entries(holder));
  return Object.fromEntries(
    fields.map(([key, value]) => [toCamelCase(key), value]).filter(([key]) => PART_OPTIONS.has(String(key))),
  );
}

function fromUrlField(field: unknown, path: string): GeminiPart {
  const holder: JsonObject = isObject(field) ? field : { url: field };
  const url = text(holder.url);
  if (!url) throw invalidBody(`${path}.url`, 'is missing');
  return fromUrl(url, mimeTypeOf(holder), `${path}.url`);
}

function fromAudio(field: unknown, path: string): GeminiPart {
  const audio = isObject(field) ? field : {};
  const data = text(audio.data);
  if (!data) throw invalidBody(`${path}.data`, 'is missing');
  if (IS_DATA_URL.test(data)) return fromUrl(data, undefined, `${path}.data`);
  return { inlineData: { mimeType: `audio/${text(audio.format) ?? 'wav'}`, data } };
}

function fromFile(field: unknown, path: string): GeminiPart {
  const file = isObject(field) ? field : {};
  const filename = text(file.filename) ?? '';
  const mimeType = mimeTypeOf(file) ?? mediaTypeOf(filename);
  const data = text(file.file_data);
  if (data && !IS_ADDRESS.test(data))
    return IS_DATA_URL.test(data) ? fromUrl(data, mimeType, path) : inline(data, mimeType ?? PDF);
  // OpenRouter's clients send a URL as the data.
  const uri = data || text(file.file_url) || fileUri(text(file.file_id));
  if (!uri) throw invalidBody(path, 'must have file_data, file_url or file_id');
  return fromUrl(uri, mimeType, path);
}

const IS_ADDRESS = /^(https?|gs):\/\//i;

function fileUri(id: string | undefined): string | undefined {
  if (!id || IS_ADDRESS.test(id)) return id;
  return FILES_URI + (id.startsWith('files/') ? id : `files/${id}`);
}

function fromUrl(url: string, mimeType: string | undefined, path: string): GeminiPart {
  if (IS_DATA_URL.test(url)) return fromDataUrl(url, mimeType, path);
  // Google detects the type itself if none is given; a wrong one would be an error.
  const guess = mimeType ?? mediaTypeOf(url);
  return { fileData: { fileUri: url, ...(guess ? { mimeType: guess } : {}) } };
}

/** Base64 is passed on in either alphabet: Google reads both. */
function fromDataUrl(url: string, mimeType: string | undefined, path: string): GeminiPart {
  const dataUrl = readDataUrl(url, path);
  const data = dataUrl.base64();
  if (data === '') throw invalidBody(path, 'is a data: URL without data');
  return inline(data, dataUrl.mediaType ?? (mimeType || 'text/plain'));
}

/** `image/jpg` is common but not a registered type; Google refuses it. */
function inline(data: string, mimeType: string): GeminiPart {
  return { inlineData: { mimeType: mimeType === 'image/jpg' ? 'image/jpeg' : mimeType, data } };
}

function mimeTypeOf(holder: JsonObject): string | undefined {
  return text(holder.mime_type) ?? text(holder.format);
}
