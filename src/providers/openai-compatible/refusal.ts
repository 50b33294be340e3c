import type { PostAnswer } from '../http/prepared-post.js';
import { parseJson } from '../parse-json.js';

/** The SDK's own error, made of the answer as the SDK makes it. */
export async function refusalOf({ status, headers, text }: PostAnswer): Promise<Error> {
  const { APIError } = await import('openai');
  const body: unknown = parseJson(text);
  return APIError.generate(
    status,
    typeof body === 'object' && body !== null ? body : undefined,
    body === undefined ? text : undefined,
    headers as Headers,
  );
}
