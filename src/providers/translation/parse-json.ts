import { parseAnswerJson } from '@app/contracts';

/** What a server said; `undefined` when it is not JSON, or of a kind that no model writes. */
export function parseJson(text: string): unknown {
  try {
    return parseAnswerJson(text);
  } catch {
    return undefined;
  }
}
