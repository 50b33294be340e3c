import { isObject, type JsonObject, objects, text } from './google.wire.js';

/** OpenAI's citation of a web page; the indices count characters of `message.content`. */
interface UrlCitation {
  type: 'url_citation';
  url_citation: { url: string; title: string; start_index: number; end_index: number };
}

/**
 * `groundingMetadata` -> citations: one for each page that supports a segment of the text.
 *
 * Gemini counts UTF-8 bytes of the answer's text, or of the part that it names; if the text is not known (`''`), its numbers are
 * kept. Sources without a URL (file search) have no counterpart at OpenAI; they stay in
 * `provider_specific_fields.grounding_metadata`.
 */
export function toAnnotations(grounding: JsonObject, content: string): UrlCitation[] {
  const chunks = Array.isArray(grounding.groundingChunks) ? grounding.groundingChunks : [];
  const sources = chunks.map((chunk) => (isObject(chunk) ? readSource(chunk) : undefined));
  const bytes = Buffer.from(content, 'utf8');
  const toCharacters = characterCounter(content, bytes);
  const partStart = partFinder(bytes);
  return objects(grounding.groundingSupports).flatMap((support) =>
    citations(support, sources, toCharacters, partStart(support.segment)),
  );
}

interface Source {
  url: string;
  title: string;
}

function readSource(chunk: JsonObject): Source | undefined {
  for (const kind of [chunk.web, chunk.maps, chunk.retrievedContext, chunk.image]) {
    const url = isObject(kind) ? text(kind.uri) || text(kind.sourceUri) : undefined;
    if (isObject(kind) && url) return { url, title: text(kind.title) ?? '' };
  }
  return undefined;
}

function citations(
  support: JsonObject,
  sources: readonly (Source | undefined)[],
  toCharacters: (bytes: number) => number,
  partStart: number,
): UrlCitation[] {
  const segment = isObject(support.segment) ? support.segment : {};
  const start = toCharacters(partStart + byteOffset(segment.startIndex));
  const end = toCharacters(partStart + byteOffset(segment.endIndex));
  const indices: unknown[] = Array.isArray(support.groundingChunkIndices)
    ? support.groundingChunkIndices
    : [];
  return indices.flatMap((index) => {
    const source = typeof index === 'number' ? sources[index] : undefined;
    return source
      ? [{ type: 'url_citation', url_citation: { ...source, start_index: start, end_index: end } }]
      : [];
  });
}

/** After this many segments that are not in the text, no more are looked for: each costs a search of the whole text. */
const MOST_MISSES = 20;

/** Offset of a later part in the text, found by the segment's words: in a stream the parts are numbered differently. */
function partFinder(content: Buffer): (segment: unknown) => number {
  let misses = 0;
  return (segment) => {
    if (!isObject(segment) || byteOffset(segment.partIndex) === 0 || misses === MOST_MISSES) return 0;
    const start = byteOffset(segment.startIndex);
    const words = text(segment.text);
    const place = words ? content.indexOf(words, start) : -1;
    if (place < 0) misses += 1;
    return place < 0 ? 0 : place - start;
  };
}

/** Absent means 0: proto3 omits zeros. */
function byteOffset(value: unknown): number {
  return Number.isSafeInteger(value) && Number(value) >= 0 ? Number(value) : 0;
}

/** Counts once for all offsets: there may be thousands. */
function characterCounter(content: string, bytes: Buffer): (bytes: number) => number {
  if (content === '' || bytes.length === content.length) return (offset) => offset;
  const before = new Uint32Array(bytes.length + 1);
  // Every byte begins a character, except continuation bytes.
  for (const [at, byte] of bytes.entries()) before[at + 1] = before[at]! + ((byte & 0xc0) === 0x80 ? 0 : 1);
  return (offset) => before[Math.min(offset, bytes.length)]!;
}
