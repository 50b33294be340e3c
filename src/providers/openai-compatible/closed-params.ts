import { type ChatRequest, GatewayError, type ProviderCall } from '@app/contracts';
import { asArray, asObject, asText, type WireObject } from './openai-compatible.wire.js';

/** A field that a client may not set, and why. */
export interface ClosedParam {
  /** As the client wrote it: `extra_body.models`. */
  readonly param: string;
  readonly path: readonly string[];
  readonly why: string;
}

/** What the gateway itself reads. Servers written in Go take other spellings for the same name, and the last of two. */
const OWN =
  'model messages max_tokens max_completion_tokens n stream stream_options tools functions response_format modalities ' +
  'cache_control extra_body prompt_cache_options';

const ELSEWHERE = 'selects another model, provider, address or key';

/**
 * All clients share the operator's key, and money is held for the model, the messages and the output limit. These fields
 * reach past that, at one server or another; everything else passes. The table of the vendors' fields is
 * `closed-params.spec.ts`; `allowed_params` of a provider opens some.
 */
const CLOSED_BY_REASON: Readonly<Record<string, readonly string[]>> = {
  [ELSEWHERE]: [
    'models route provider preset', // OpenRouter
    'provider_options compound_custom safety_model guardrails', // Vercel, Groq, Together, Mistral
    'lora lora_path', // llama.cpp, SGLang
    'kv_transfer_params ec_transfer_params bootstrap_host bootstrap_port bootstrap_room', // vLLM, SGLang
    'fallbacks context_window_fallbacks content_policy_fallbacks context_window_fallback_dict', // LiteLLM
    'model_list user_config specific_deployment deployment_id deployment_url tags',
    'api_base base_url api_key api_type api_version organization custom_llm_provider',
    'headers extra_headers extra_query s3_endpoint_url',
  ],
  'sets what max_tokens and n are meant for': [
    'max_output_tokens max_new_tokens max_length max_gen_len num_predict',
    'n_predict n_cmpl best_of agent_count', // llama.cpp, older servers, xAI
    'additional_drop_params stop_server_tools_when', // LiteLLM, OpenRouter
  ],
  'brings in content that is not in messages': [
    'prompt input instructions previous_response_id conversation comparison_response_id', // OpenAI
    'prompt_id prompt_variables data_sources', // LiteLLM, Azure
    'documents chat_template mm_processor_kwargs media_io_kwargs', // vLLM, Groq
  ],
  'changes what the provider charges': [
    'service_tier speed plugins web_search_options search_parameters',
    'prediction speculation', // rejected tokens are billed, and nobody says that the output limit bounds them
  ],
  'defers the answer, to be fetched later': ['background background_options deferred'],
  'is meant for the operator of the server': ['priority custom_logit_processor'],
  'overrides what the gateway sets': [OWN],
};
/** LiteLLM's further names of accounts, addresses and prices. */
const CLOSED_FAMILY = /^(?:aws|azure|vertex|sagemaker|litellm)|costper/;

/** Nearly all requests have no others at the top: these pass without further checks. */
const ORDINARY = new Set(
  words(
    `${OWN} temperature top_p stop seed user tool_choice parallel_tool_calls reasoning_effort reasoning metadata store ` +
      'frequency_penalty presence_penalty logprobs top_logprobs logit_bias top_k',
  ),
);
/**
 * Fields with fields of their own. Gemini's endpoint wants `extra_body` itself, LiteLLM takes all that is in it as fields of
 * the request; at some servers `chat_template_kwargs` may bring a template of its own.
 */
const NESTED = ['extra_body', 'prompt_cache_options', 'chat_template_kwargs'];

const LONGEST_NAME = 64;
const REASONS = new Map<string, string>();
for (const [why, lines] of Object.entries(CLOSED_BY_REASON))
  for (const name of words(lines.join(' '))) REASONS.set(folded(name), why);

const NO_NAMES: ReadonlySet<string> = new Set();

/** @param allowed  names that are open, as `foldedNames` gives them */
export function closedParams(request: ChatRequest, allowed = NO_NAMES): readonly ClosedParam[] {
  const found: ClosedParam[] = [];
  for (const name of Object.keys(request)) {
    if (!ORDINARY.has(name)) add(found, request[name], [name], allowed);
  }
  for (const outer of NESTED) {
    const inner = asObject(request[outer]);
    if (inner) for (const name of Object.keys(inner)) add(found, inner[name], [outer, name], allowed);
  }
  // LiteLLM chooses a deployment by these, too. In OpenAI's metadata every value is a text.
  const tags = asObject(request.metadata)?.tags;
  if (Array.isArray(tags)) add(found, tags, ['metadata', 'tags'], allowed);
  return found;
}

/** Whether this name in `allowed_params` opens anything. */
export function isClosedName(name: string): boolean {
  return reasonFor(folded(name)) !== undefined;
}

/** Whether a server of GATEWAY_CONFIG may get this closed field. */
export function isAllowed(name: string, allowedParams: unknown): boolean {
  return allowedNames(allowedParams).has(folded(name));
}

/** The option `allowedParams` of a provider, as `closedParams` takes it. */
export function allowedNames(allowedParams: unknown): ReadonlySet<string> {
  return foldedNames(asArray(allowedParams).flatMap((name) => asText(name) ?? []));
}

export function foldedNames(names: readonly string[]): ReadonlySet<string> {
  return new Set(names.map(folded));
}

/**
 * Sends a call without what is closed in it.
 *
 * @throws GatewayError  `unsupported_parameter`, unless unsupported ones may be dropped
 */
export function withoutClosed<Result extends { readonly droppedParams: readonly string[] }>(
  call: ProviderCall,
  closed: readonly ClosedParam[],
  send: (call: ProviderCall) => Promise<Result>,
): Promise<Result> {
  return closed.length === 0 ? send(call) : sendWithout(closed, call, send);
}

async function sendWithout<Result extends { readonly droppedParams: readonly string[] }>(
  closed: readonly ClosedParam[],
  call: ProviderCall,
  send: (call: ProviderCall) => Promise<Result>,
): Promise<Result> {
  const [first] = closed;
  if (first && !call.dropUnsupported) throw refusal(first);
  const request = { ...call.request };
  for (const { path } of closed) remove(request, path);
  const result = await send({ ...call, request });
  return { ...result, droppedParams: [...closed.map(({ param }) => param), ...result.droppedParams] };
}

function refusal({ param, why }: ClosedParam): GatewayError {
  return new GatewayError('unsupported_parameter', `${param} is not accepted here: it ${why}.`, { param });
}

function remove(fields: WireObject, [name = '', ...inner]: readonly string[]): void {
  if (inner.length === 0) {
    delete fields[name];
    return;
  }
  const copy = { ...asObject(fields[name]) };
  remove(copy, inner);
  fields[name] = copy;
}

function add(
  found: ClosedParam[],
  value: unknown,
  path: readonly string[],
  allowed: ReadonlySet<string>,
): void {
  if (saysNothing(value)) return;
  const key = folded(path.at(-1) ?? '');
  const why = reasonFor(key);
  if (why === undefined || allowed.has(key) || (key === SERVICE_TIER && isStandard(value))) return;
  found.push({ param: path.join('.'), path, why });
}

/** What wrappers send for a field that nobody has set. */
function saysNothing(value: unknown): boolean {
  return (value ?? false) === false || value === '' || (Array.isArray(value) && value.length === 0);
}

function reasonFor(key: string): string | undefined {
  return REASONS.get(key) ?? (CLOSED_FAMILY.test(key) ? ELSEWHERE : undefined);
}

const SERVICE_TIER = folded('service_tier');

/** `auto` leaves it to the settings of the operator's account. */
function isStandard(tier: unknown): boolean {
  return tier === 'auto' || tier === 'default' || tier === 'standard' || tier === 'on_demand';
}

/** One spelling for all: lower case, as Unicode folds it, and nothing between the words. */
function folded(name: string): string {
  if (name.length > LONGEST_NAME) return name;
  const small = /^[a-z0-9_]*$/.test(name) ? name : name.toUpperCase().toLowerCase();
  return small.replace(/[_-]+/g, '');
}

function words(text: string): string[] {
  return text.split(' ');
}
