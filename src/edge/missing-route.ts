/** Parts of OpenAI's API, and Anthropic's, that clients ask for and that the gateway does not have. */
const OTHER_APIS =
  /^(\/openai)?\/v1\/(assistants|audio|batches|completions|embeddings|files|fine_tuning|images|messages|moderations|realtime|rerank|responses|threads|uploads|vector_stores|videos)(\/|$)/;
const COMPLETIONS = /^(\/openai)?\/v1\/chat\/completions(\/stream)?\/?$/;
/** What the clients for Azure make of a model's name. */
const DEPLOYMENT = /\/deployments\//;
/** What an SDK appends to its base URL. */
const APPENDED = /\/(chat\/completions|models)\/?$/;

/** Many clients take Responses for granted, some for a model's name alone; nearly all can be told otherwise. */
const SWITCH =
  'Most clients that use it can be set to Chat Completions: see "Other clients" in the README of the gateway.';

/**
 * What to do about a route that is not there: mostly it is a base URL without `/v1`, or another of OpenAI's APIs.
 * Nothing of the path is repeated but what is known.
 */
export function describeMissingRoute(path: string): string {
  const other = OTHER_APIS.exec(path)?.[2];
  if (other !== undefined) {
    const refusal = `The gateway has no /v1/${other}: it serves chat completions only, at POST /v1/chat/completions.`;
    return other === 'responses' ? `${refusal} ${SWITCH}` : refusal;
  }
  if (DEPLOYMENT.test(path))
    return 'The gateway has no deployments: use a client for OpenAI, not for Azure, with a base URL that ends in /v1.';
  if (COMPLETIONS.test(path)) return 'Chat completions are requested with POST. GET /docs shows how.';
  if (APPENDED.test(path))
    return 'There is no such route. The base URL of an OpenAI client ends in /v1 (or /openai/v1); the client appends the rest.';
  return 'There is no such route. Check the method and the path; GET /docs lists all routes.';
}
