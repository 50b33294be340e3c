import type { PostAnswer } from '../http/prepared-post.js';
import { parseJson } from '../translation/parse-json.js';

/** The error that the SDK would throw for this answer. */
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
