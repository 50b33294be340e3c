import { type JsonObject, objects, text } from './google.wire.js';

interface TokenLogprob {
  token: string;
  logprob: number;
  /** UTF-8 of the token. */
  bytes: number[];
  /** Gemini's id of the token; OpenAI has no such field. */
  token_id?: number;
}

/** OpenAI's `logprobs` of a choice. */
interface ChoiceLogprobs {
  content: (TokenLogprob & { top_logprobs: TokenLogprob[] })[];
  refusal: null;
}

/** Gemini's `logprobsResult` -> OpenAI's `logprobs`. Step i of the chosen tokens belongs to step i of the top ones. */
export function toLogprobs(result: JsonObject): ChoiceLogprobs {
  const top = objects(result.topCandidates);
  const content = objects(result.chosenCandidates).map((chosen, step) => ({
    ...toToken(chosen),
    top_logprobs: objects(top[step]?.candidates).map(toToken),
  }));
  return { content, refusal: null };
}

function toToken(candidate: JsonObject): TokenLogprob {
  const token = text(candidate.token) ?? '';
  return {
    token,
    // proto3 omits zeros: the token was certain.
    logprob: typeof candidate.logProbability === 'number' ? candidate.logProbability : 0,
    bytes: [...Buffer.from(token, 'utf8')],
    ...(typeof candidate.tokenId === 'number' ? { token_id: candidate.tokenId } : {}),
  };
}
