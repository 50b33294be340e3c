import { invalidBody } from './unsupported-params.js';

export const IS_DATA_URL = /^data:/i;

export interface DataUrl {
  /** In lower case. */
  readonly mediaType: string | undefined;
  /** In the alphabet that the client used. */
  base64(): string;
  text(): string;
}

/**
 * `data:<media type>[;…][;base64],<data>`. The data is converted only when and as it is asked for: it may be large.
 *
 * @param path  of the URL in the request, for errors
 * @throws GatewayError  `invalid_body`, also when the data is read
 */
export function readDataUrl(url: string, path: string): DataUrl {
  const comma = url.indexOf(',');
  if (comma < 0) throw notValid(path);
  const [mediaType = '', ...parameters] = url.slice('data:'.length, comma).split(';');
  const data = url.slice(comma + 1);
  const isBase64 = parameters.some((parameter) => parameter.trim().toLowerCase() === 'base64');
  return {
    mediaType: mediaType.trim().toLowerCase() || undefined,
    base64: () => (isBase64 ? data : Buffer.from(percentDecoded(data, path)).toString('base64')),
    text: () => (isBase64 ? Buffer.from(data, 'base64').toString('utf8') : percentDecoded(data, path)),
  };
}

function percentDecoded(data: string, path: string): string {
  try {
    return decodeURIComponent(data);
  } catch {
    throw notValid(path);
  }
}

function notValid(path: string) {
  return invalidBody(path, 'is not a valid data: URL');
}
