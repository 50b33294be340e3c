/** Characters of JSON that one prompt or answer may take in a trace. */
const MAX_CHARACTERS = 64_000;
/** Base64 of images, audio and documents: named, not sent. */
const BINARY = /^data:([^;,]{1,100})[;,]/;
const LONG_BASE64 = 1_000;

/** Parameters that say how the model was asked; everything else of a request is content. */
const PARAMETERS = [
  'temperature',
  'top_p',
  'max_tokens',
  'max_completion_tokens',
  'n',
  'seed',
  'frequency_penalty',
  'presence_penalty',
  'reasoning_effort',
  'parallel_tool_calls',
  'service_tier',
  'stream',
] as const;

/** A prompt or an answer as it may be traced: without binary data, cut to a bounded size, and a copy. */
export function traceContent(content: unknown): unknown {
  if (content === undefined || content === null) return content;
  const json = JSON.stringify(content, withoutBinary);
  if (json === undefined) return undefined;
  return json.length <= MAX_CHARACTERS ? JSON.parse(json) : `${json.slice(0, MAX_CHARACTERS)}… [cut]`;
}

/** The model parameters among a request's fields. */
export function modelParameters(
  parameters: Record<string, unknown> | undefined,
): Record<string, string | number | boolean> {
  const known: Record<string, string | number | boolean> = {};
  for (const name of PARAMETERS) {
    const value = parameters?.[name];
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
      known[name] = value;
  }
  return known;
}

function withoutBinary(key: string, value: unknown): unknown {
  if (typeof value !== 'string') return value;
  const mediaType = BINARY.exec(value)?.[1];
  if (mediaType !== undefined) return `[${mediaType}, ${value.length} characters]`;
  const isBase64 = (key === 'data' || key === 'file_data') && value.length > LONG_BASE64;
  return isBase64 ? `[base64, ${value.length} characters]` : value;
}
