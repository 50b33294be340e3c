/** The type that a data URL names, `''` when it names none; `undefined` for anything else. */
export function typeOfData(url: string): string | undefined {
  return /^data:\s*([^;,]*)/i.exec(url)?.[1];
}

/** Addresses from which Google takes films and uploads. */
const HAS_FILMS_OR_UPLOADS = /youtu\.?be|generativelanguage\.googleapis/i;
/** These models take whatever an address leads to for what it is, in whatever kind of part it is sent. */
const TAKES_ANY_KIND = /gemini/i;

const ADDRESS = /^https?:\/\/([^/?#]*)([^?#]*)/i;
const IS_PICTURE = /^image\//i;
const ENDS_AS_PICTURE = /\.(?:png|jpe?g|webp|gif|hei[cf])$/i;
const ENDS_OTHERWISE =
  /\.(?:pdf|txt|md|html|csv|xml|json|mp3|wav|flac|ogg|aac|aiff|m4a|mp4|mpe?g|mov|avi|webm|wmv|flv|3gp)$/i;

/**
 * Whether what stands under `image_url` is one: some vendors take documents, sounds and films under this name.
 * @param named  the type or format that stands beside the address
 */
export function isPicture(url: string, named: string | undefined, upstreamModel: string): boolean {
  const address = ADDRESS.exec(url);
  if (!address) return IS_PICTURE.test(typeOfData(url) || (named ?? ''));
  const [, host = '', path = ''] = address;
  if (HAS_FILMS_OR_UPLOADS.test(host)) return false;
  if (named !== undefined) return IS_PICTURE.test(named);
  return TAKES_ANY_KIND.test(upstreamModel) ? ENDS_AS_PICTURE.test(path) : !ENDS_OTHERWISE.test(path);
}

export function isImageType(type: string): boolean {
  return IS_PICTURE.test(type);
}

/** Film has seconds of content for next to no bytes. */
export function isFilmType(type: string): boolean {
  return /^video\/|^(?:mp4|mpe?g|mov|avi|webm|wmv|flv|3gpp?)$/i.test(type);
}

export function isSoundType(type: string): boolean {
  return /^audio\//i.test(type);
}

/** Gemini counts 32 tokens a second, OpenAI 10. The lowest usual bit rates: 8 kB/s for PCM, 1 kB/s for compressed audio. */
const TOKENS_PER_SECOND = 32;
const PCM_BYTES_PER_SECOND = 8_000;
const COMPRESSED_BYTES_PER_SECOND = 1_000;
const IS_PCM = /^(?:audio\/(?:x-)?)?(?:wave?|pcm16?|l16)$/i;
const MOST_SOUND_TOKENS = 10_000_000;

/** @param data  base64, alone or in a data URL */
export function soundTokens(data: string, format: string): number {
  const bytesPerSecond =
    waveBytesPerSecond(data) ?? (IS_PCM.test(format) ? PCM_BYTES_PER_SECOND : COMPRESSED_BYTES_PER_SECOND);
  const tokens = Math.ceil((base64Bytes(data) / bytesPerSecond) * TOKENS_PER_SECOND) + TOKENS_PER_SECOND;
  return Math.min(MOST_SOUND_TOKENS, tokens);
}

/** The format may come after some hundred bytes of the recorder's notes. */
const HEAD_BYTES = 4_096;

/**
 * Bytes in a second of a wave file, at most the usual number: at one sample a second a kilobyte is a quarter of an hour.
 * 0 when its beginning does not name the format; `undefined` for what is no wave file.
 */
function waveBytesPerSecond(data: string): number | undefined {
  const start = /^data:/i.test(data) ? data.indexOf(',') + 1 : 0;
  const head = Buffer.from(data.slice(start, start + (HEAD_BYTES / 3) * 4), 'base64');
  const form = head.toString('latin1', 0, 4);
  if (OTHER_WAVES.has(form)) return 0;
  if (form !== 'RIFF' || head.toString('latin1', 8, 12) !== 'WAVE') return undefined;
  let at = 12;
  while (head.toString('latin1', at, at + 4) !== 'fmt ') {
    if (at + 8 > head.length) return 0;
    const size = head.readUInt32LE(at + 4);
    at += 8 + size + (size % 2);
  }
  if (at + 22 > head.length) return 0;
  // Frames a second × bytes a frame; compressed sound has fewer of both than it claims.
  const isPlain = PLAIN_WAVES.has(head.readUInt16LE(at + 8));
  const bytes = head.readUInt32LE(at + 12) * head.readUInt16LE(at + 20);
  return Math.min(bytes, isPlain ? PCM_BYTES_PER_SECOND : COMPRESSED_BYTES_PER_SECOND);
}

/** For more than four gigabytes, or with the other byte order. */
const OTHER_WAVES = new Set(['RF64', 'RIFX', 'riff']);
/** PCM, floating point, A-law, µ-law, and the form that says so further on. */
const PLAIN_WAVES = new Set([1, 3, 6, 7, 0xfffe]);

export function base64Bytes(text: string): number {
  return Math.ceil((text.length * 3) / 4);
}
