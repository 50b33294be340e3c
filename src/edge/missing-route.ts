/** Parts of OpenAI's API, and Anthropic's, that clients ask for and that the gateway does not have. */
const OTHER_APIS =
  /^(\/openai)?\/v1\/(assistants|audio|batches|completions|embeddings|files|fine_tuning|images|messages|moderations|realtime|rerank|responses|threads|uploads|vector_stores|videos)(\/|$)/;
const COMPLETIONS = /^(\/openai)?\/v1\/chat\/completions(\/stream)?\/?$/;
/** What an SDK appends to its base URL. */
const APPENDED = /\/(chat\/completions|models)\/?$/;

/**
 * What to do about a route that is not there: mostly it is a base URL without `/v1`, or another of OpenAI's APIs.
 * Nothing of the path is repeated but what is known.
 */
export function describeMissingRoute(path: string): string {
  const other = OTHER_APIS.exec(path)?.[2];
  if (other !== undefined)
    return `The gateway has no /v1/${other}: it serves chat completions only, at POST /v1/chat/completions.`;
  if (COMPLETIONS.test(path)) return 'Chat completions are requested with POST. GET /docs shows how.';
  if (APPENDED.test(path))
    return 'There is no such route. The base URL of an OpenAI client ends in /v1 (or /openai/v1); the client appends the rest.';
  return 'There is no such route. Check the method and the path; GET /docs lists all routes.';
}
