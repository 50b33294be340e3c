import {
  base64Bytes,
  isFilmType,
  isImageType,
  isPicture,
  isSoundType,
  soundTokens,
  typeOfData,
} from './media-type.js';

/**
 * Largest images, by the vendors' published formulas: Anthropic 4,784 (high resolution), Gemini 16 tiles × 258,
 * OpenAI 1,445 (tiles) or 3,779 (patches). Some small OpenAI models bill a tile 33-fold: `gpt-4o-mini` 48,169.
 */
const TOKENS_PER_IMAGE = 5_000;
const TOKENS_PER_IMAGE_MULTIPLIED = 48_200;
const MULTIPLIES_IMAGES = /gpt-4o-mini/;

/** Each page is billed as text and as an image, and the text is compressed. Capped at the context window anyway. */
const TOKENS_PER_DOCUMENT_BYTE = 4;

export type Fields = Readonly<Record<string, unknown>>;

/** What a request has besides text, in tokens at most. */
export abstract class MediaSum {
  /** Sound, and what may be sound. */
  audioTokens = 0;
  imageTokens = 0;
  documentTokens = 0;

  constructor(
    private readonly upstreamModel: string,
    private readonly contextWindow: number,
  ) {}

  /** What is stored elsewhere (an id, an address) may be of any size, and of the dearest kind: sound. */
  protected addElsewhere(): void {
    this.audioTokens += this.contextWindow;
  }

  protected addPicture(): void {
    this.imageTokens += MULTIPLIES_IMAGES.test(this.upstreamModel)
      ? TOKENS_PER_IMAGE_MULTIPLIED
      : TOKENS_PER_IMAGE;
  }

  /** @param image  what stands under `image_url` */
  protected addImage(image: unknown): void {
    const fields = asObject(image);
    const url = fields ? fields['url'] : image;
    const named = typeNamedIn(fields);
    if (typeof url !== 'string' || isPicture(url, named, this.upstreamModel)) this.addPicture();
    else this.addLink(url, named);
  }

  /** @param sound  what stands under `input_audio` */
  protected addSound({ data, format }: Fields): void {
    const type = typeof data === 'string' ? typeOfData(data) : undefined;
    if (typeof data !== 'string' || IS_ADDRESS.test(data)) this.addElsewhere();
    // Google goes by the type in the data URL.
    else if (type !== undefined && !isSoundType(type)) this.addData(data);
    else this.audioTokens += soundTokens(data, type ?? (typeof format === 'string' ? format : ''));
  }

  /** @param file  what stands under `file`. An id or an address may win over data beside it. */
  protected addFile(file: Fields): void {
    const { file_data: data, file_id: id, file_url: url, filename } = file;
    if (!data || id || url) this.addElsewhere();
    const extension = typeof filename === 'string' ? /\.(\w+)$/.exec(filename)?.[1] : undefined;
    if (data) this.addData(data, typeNamedIn(file) ?? extension);
  }

  /** @param link  an address or id, alone or in an object; or a data URL */
  protected addLink(link: unknown, named?: string): void {
    const fields = asObject(link);
    if (Array.isArray(link)) for (const each of link) this.addLink(each, named);
    else if (fields?.['url']) this.addLink(fields['url'], typeNamedIn(fields));
    else if (typeof link === 'string' && typeOfData(link) !== undefined) this.addData(link, named);
    else if (link) this.addElsewhere();
  }

  /**
   * @param data   base64, bare or in a data URL; or an address
   * @param named  its type where no data URL says it: a MIME type, or a file name's extension
   */
  protected addData(data: unknown, named = ''): void {
    const type = typeof data === 'string' ? typeOfData(data) || named : named;
    if (typeof data !== 'string' || IS_ADDRESS.test(data) || isFilmType(type)) return this.addElsewhere();
    const tokens = base64Bytes(data) * TOKENS_PER_DOCUMENT_BYTE + TOKENS_PER_IMAGE;
    if (isSoundType(type)) this.audioTokens += Math.max(tokens, soundTokens(data, type));
    else this.documentTokens += tokens;
  }

  /** Gemini's own form. */
  protected addInline(inline: Fields): void {
    const type = inline['mimeType'] ?? inline['mime_type'];
    if (typeof type === 'string' && isImageType(type)) this.addPicture();
    else this.addData(inline['data'], typeof type === 'string' ? type : undefined);
  }
}

const IS_ADDRESS = /^[a-z][a-z\d+.-]*:\/\//i;
/** Data URLs, too. */
export const IS_LINK = /^(?:data:|[a-z][a-z\d+.-]*:\/\/)/i;

export function asObject(value: unknown): Fields | undefined {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
}

/** As Google reads them. */
function typeNamedIn(fields: Fields | undefined): string | undefined {
  if (typeof fields?.['mime_type'] === 'string') return fields['mime_type'];
  return typeof fields?.['format'] === 'string' ? fields['format'] : undefined;
}
