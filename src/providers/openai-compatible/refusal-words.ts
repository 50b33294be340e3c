import { complaints } from './error-body.js';
import { asArray, asText, type WireObject } from './openai-compatible.wire.js';

// How servers say what is wrong with a request: names and wordings.

export function isOutOfQuota(status: number | undefined, names: readonly string[], message: string): boolean {
  if (status === 402 || names.some((name) => OUT_OF_QUOTA.has(name)) || UNPAID_FIRST.test(message))
    return true;
  return status !== undefined && REFUSES_CALLER.has(status) && UNPAID.test(message);
}

export function isTooLong(names: readonly string[], message: string): boolean {
  return names.some((name) => TOO_LONG_NAMES.has(name)) || TOO_LONG.test(message);
}

/** A 404 for what the request names (a file, a vector store), and not for the address: the client's fault. */
export function isMissingObject(error: WireObject, message: string): boolean {
  return asText(error.param) !== undefined || MISSING_OBJECT.test(message);
}

export const UNSUPPORTED = new Set(['unsupported_parameter', 'unsupported_value', 'unknown_parameter']);
const OUT_OF_QUOTA = new Set([
  'insufficient_quota',
  'billing_hard_limit_reached',
  'billing_not_active',
  'account_deactivated',
  'exceeded_current_quota_error', // Moonshot
  'Arrearage', // DashScope
  'AllocationQuota.FreeTierOnly',
  'budget_exceeded', // LiteLLM
]);
/** Other refusals may quote the client, who must not be able to blame the account: that would open a breaker. */
const REFUSES_CALLER = new Set([401, 403, 412, 429]);
const UNPAID =
  /account .{0,80}(is|been) suspended|in good standing|spending limit|insufficient (balance|credits?|funds)|have any credits|all available credits|balance is insufficient|not enough balance|overdue balance|key limit exceeded|余额不足/i;
/** With status 400, and so only at the start, as with `BAD_KEY`. */
const UNPAID_FIRST = /^your credit balance is too low/i;
/** Names which say that the gateway's own account is shut out, whatever the status. */
export const SHUT_OUT = new Set(['invalid_api_key', 'organization_restricted', 'blocked_api_access']);
export const UNKNOWN_MODEL = new Set([
  'model_not_found',
  'DeploymentNotFound',
  'model_decommissioned',
  'model_not_available',
  'invalid_model',
  'unknown_model', // GitHub Models
  'model_not_supported', // Hugging Face
]);
/** With status 400: DeepSeek, OpenRouter, Mistral, Together, Zhipu, SiliconFlow, Bedrock, LiteLLM. */
export const NO_SUCH_MODEL =
  /^model (?:does )?not exist|^unknown model\b|is not a valid model\b|^invalid model\b|model identifier is invalid|\binvalid model name passed in model=|\bmodel [`'"][^`'"]{1,200}[`'"] (does not exist|not found|is not available)/i;
const MISSING_OBJECT =
  /^no such \w+ object\b|\b(file|vector store|container|conversation|prompt|response|item)\b.{0,120}\bnot found\b/i;
/** The request is at fault, and not our key. */
export const BLOCKED = /usage guidelines|flagged|moderation|content policy/i;
const TOO_LONG_NAMES = new Set([
  'context_length_exceeded',
  'exceed_context_size_error', // llama.cpp
  'tokens_limit_reached', // GitHub Models
]);
const TOO_LONG = new RegExp(
  [
    'context[ _](length|window|size|limit)|contextwindow|maximum (context|prompt length|model length)',
    '(too many (input )?|exceeded model )token|(prompt|input) is too long|reduce the length of the messages',
    'input (token count|length).{0,40} exceeds|range of input length should be',
    'prompt exceeds max length|prompt_tokens \\(\\d+\\) must be less|number of input tokens \\d+ cannot exceed',
    '`inputs` (tokens \\+ `max_new_tokens` must be <=|must have less than)',
  ].join('|'),
  'i',
);
/** Only at the start: further on the client may be quoted. */
export const BAD_KEY = /^(api key (not valid|expired|invalid|not found)|(invalid|incorrect) api key)/i;

/** How servers name a field that they do not take. */
const UNKNOWN_FIELD: readonly RegExp[] = [
  /^(?:unsupported|unknown) (?:parameter|value|argument): '([\w.[\]]+)'/i,
  /unrecognized request arguments? supplied: (\w+)/i,
  /^(?:body\.\w+: )?property '(?:body\.)?(\w+)' is unsupported/i,
  /^(?:\d+ request validation errors?: )?extra inputs are not permitted, field: '([\w.[\]]+)'/i,
  /\bunknown name "([\w.]+)": cannot find field/i,
  /^argument not supported on this model: (\w+)/i,
  /additional properties are not allowed \('(\w+)' was unexpected\)(?! - 'messages)/i,
];

const NOT_OF_MODEL = /\bdoes not support parameters?:? \[?'?(\w+)/i;

/** The field that a server does not take, as the server names it. */
export function unknownField(error: WireObject, message: string): string | undefined {
  const forbidden = complaints(error).find(
    ({ type, loc }) => type === 'extra_forbidden' && Array.isArray(loc),
  );
  if (forbidden) return asArray(forbidden.loc).slice(1).join('.');
  for (const form of UNKNOWN_FIELD) {
    const field = form.exec(message)?.[1];
    if (field !== undefined) return field;
  }
  // xAI writes it as its own programs do.
  const unsupported = NOT_OF_MODEL.exec(message)?.[1];
  return unsupported?.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
