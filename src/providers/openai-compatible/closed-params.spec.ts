import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { ChatRequest } from '@app/contracts';
import { describe, expect, it } from 'vitest';
import { closedAtOpenAi } from '../openai/openai.prices.js';
import { closedParams } from './closed-params.js';

/**
 * Every field of the vendors' requests, as their SDKs and documents had them on 2026-11-30, and whether a client may set it.
 * What is closed may be opened for a provider by `allowed_params`; a field that is in neither list passes.
 */
const FIELDS: Readonly<Record<string, { open: string; closed: string }>> = {
  'OpenAI, chat completions': {
    open: `messages model audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens
      metadata modalities moderation n parallel_tool_calls presence_penalty prompt_cache_key prompt_cache_options
      prompt_cache_retention reasoning_effort response_format safety_identifier seed stop store stream stream_options temperature
      tool_choice tools top_logprobs top_p user verbosity web_search_options`,
    closed: 'prediction service_tier',
  },
  'OpenAI, responses': {
    open: `access_programs context_management image include max_tool_calls metadata model moderation parallel_tool_calls
      prompt_cache_key prompt_cache_options prompt_cache_retention reasoning safety_identifier store stream stream_options
      temperature text tool_choice tools top_logprobs top_p truncation user`,
    closed: `background background_options conversation input instructions max_output_tokens previous_response_id prompt
      service_tier prompt_cache_options.comparison_response_id`,
  },
  OpenRouter: {
    open: `cache_control debug frequency_penalty image_config include_reasoning logit_bias logprobs max_completion_tokens
      max_tokens messages metadata min_p modalities model parallel_tool_calls presence_penalty prompt_cache_key
      prompt_cache_options reasoning reasoning_effort repetition_penalty response_format seed session_id stop stream
      stream_options temperature tool_choice tools top_a top_k top_logprobs top_p trace transforms usage user verbosity`,
    closed: `models route provider preset plugins prompt prediction service_tier speed stop_server_tools_when
      web_search_options`,
  },
  'LiteLLM proxy': {
    open: 'cache chat_template_kwargs drop_params num_retries thinking timeout',
    closed: `additional_drop_params api_base api_key api_type api_version aws_role_name aws_sts_endpoint azure_ad_token base_url
      content_policy_fallbacks context_window_fallback_dict context_window_fallbacks custom_llm_provider deployment_id
      deployment_url extra_headers extra_query fallbacks guardrails headers input_cost_per_token litellm_credential_name
      litellm_metadata model_list organization prompt_id prompt_variables s3_endpoint_url sagemaker_base_url
      specific_deployment tags user_config vertex_credentials
      extra_body.api_base extra_body.model extra_body.max_tokens extra_body.messages extra_body.extra_body`,
  },
  'Vercel AI Gateway': { open: '', closed: 'providerOptions provider_options' },
  'Azure OpenAI': { open: 'enhancements', closed: 'data_sources dataSources prediction service_tier' },
  'Gemini’s own endpoint': { open: 'extra_body.google', closed: 'extra_body.tools' },
  vLLM: {
    open: `add_generation_prompt add_special_tokens allowed_token_ids bad_words cache_salt chat_template_kwargs
      continue_final_message echo frequency_penalty ignore_eos include_reasoning include_stop_str_in_output length_penalty
      logit_bias logprob_token_ids logprobs max_completion_tokens max_tokens messages min_p min_tokens model n
      parallel_tool_calls presence_penalty prompt_logprobs reasoning_effort repetition_detection repetition_penalty request_id
      response_format return_mm_kwargs return_prompt_text return_token_ids return_token_offsets return_tokens_as_token_ids
      routed_experts_prompt_start seed session_id skip_special_tokens spaces_between_special_tokens stop stop_token_ids stream
      stream_interval stream_options structured_outputs temperature thinking_token_budget tool_choice tools top_k top_logprobs
      top_p truncate_prompt_tokens truncation_side use_beam_search user vllm_xargs watermarking
      chat_template_kwargs.enable_thinking chat_template_kwargs.thinking`,
    closed: `best_of chat_template chat_template_kwargs.chat_template documents ec_transfer_params kv_transfer_params media_io_kwargs mm_processor_kwargs
      priority`,
  },
  SGLang: {
    open: 'ebnf extra_key regex rid separate_reasoning stop_regex stream_reasoning',
    closed: `bootstrap_host bootstrap_port bootstrap_room custom_logit_processor lora_path priority`,
  },
  'llama.cpp': {
    open: `adaptive_decay adaptive_target backend_sampling cache_prompt chat_format chat_parser chat_template_kwargs
      dry_allowed_length dry_base dry_multiplier dry_penalty_last_n dry_sequence_breakers dynatemp_exponent dynatemp_range
      frequency_penalty grammar grammar_lazy grammar_triggers id_slot ignore_eos json_schema logit_bias max_completion_tokens
      max_tokens messages min_keep min_p mirostat mirostat_eta mirostat_tau model n n_cache_reuse n_discard n_indent n_keep
      n_probs parse_tool_calls post_sampling_probs presence_penalty preserved_tokens reasoning_budget_tokens reasoning_format
      repeat_last_n repeat_penalty response_fields return_progress return_tokens samplers seed speculative.n_max
      speculative.n_min stop stream stream_options t_max_predict_ms temperature thinking_forced_open timings_per_token top_k
      top_n_sigma top_p typical_p xtc_probability xtc_threshold`,
    closed: 'chat_template lora n_cmpl n_predict prompt',
  },
  Ollama: {
    open: `frequency_penalty max_tokens messages model presence_penalty reasoning reasoning_effort response_format seed stop
      stream stream_options temperature tools top_p`,
    // Go reads names without looking at their case, and the last one wins.
    closed: 'Model MESSAGES Max_Tokens N Stream Tools',
  },
  Groq: {
    open: `citation_options disable_tool_validation exclude_domains frequency_penalty function_call functions include_domains
      include_reasoning logit_bias logprobs max_completion_tokens max_tokens messages metadata model n parallel_tool_calls
      presence_penalty reasoning_effort reasoning_format response_format search_settings seed stop store stream
      stream_options temperature tool_choice tools top_logprobs top_p user`,
    closed: 'compound_custom documents service_tier',
  },
  xAI: {
    open: `frequency_penalty logit_bias logprobs max_completion_tokens max_tokens messages model n parallel_tool_calls
      presence_penalty reasoning_effort response_format seed stop stream stream_options temperature tool_choice tools
      top_logprobs top_p user`,
    closed: 'agent_count deferred previous_response_id search_parameters service_tier web_search_options',
  },
  DeepSeek: {
    open: `frequency_penalty logprobs max_tokens messages model presence_penalty reasoning_effort response_format stop stream
      stream_options temperature thinking tool_choice tools top_logprobs top_p user_id`,
    closed: '',
  },
  Mistral: {
    open: `frequency_penalty max_tokens messages metadata model n parallel_tool_calls presence_penalty prompt_cache_key
      prompt_mode random_seed reasoning_effort response_format safe_prompt stop stream temperature tool_choice tools top_p`,
    closed: 'guardrails prediction service_tier',
  },
  Together: {
    open: `chat_template_kwargs compliance context_length_exceeded_behavior echo frequency_penalty function_call logit_bias
      logprobs max_tokens messages min_p model n presence_penalty reasoning reasoning_effort repetition_penalty
      response_format seed stop stream temperature tool_choice tools top_k top_p`,
    closed: 'safety_model',
  },
  Fireworks: {
    open: `context_length_exceeded_behavior echo echo_last frequency_penalty function_call functions ignore_eos logit_bias
      logprobs max_completion_tokens max_tokens messages metadata min_p mirostat_lr mirostat_target model n
      parallel_tool_calls perf_metrics_in_response presence_penalty prompt_cache_isolation_key prompt_cache_key
      prompt_truncate_len raw_output reasoning_effort reasoning_history repetition_penalty response_format return_token_ids
      safe_tokenization seed stop stream temperature thinking tool_choice tools top_k top_logprobs top_p typical_p user`,
    closed: 'prediction service_tier speculation',
  },
  Perplexity: {
    open: `disable_search last_updated_before_filter max_tokens messages model reasoning_effort response_format return_images
      return_related_questions search_after_date_filter search_domain_filter search_mode search_recency_filter stream
      temperature top_k top_p`,
    closed: 'web_search_options',
  },
};

const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== '');

/** `extra_body.model` -> a request with that inside. */
function requestWith(path: string, value: unknown): ChatRequest {
  const request = { model: 'm', messages: [] };
  const nested = /^(extra_body|prompt_cache_options|chat_template_kwargs)\.(.*)$/.exec(path);
  return nested?.[1] === undefined
    ? { ...request, [path]: value }
    : { ...request, [nested[1]]: { [nested[2] ?? '']: value } };
}

function closedIn(vendor: string, request: ChatRequest): string[] {
  const found = vendor.startsWith('OpenAI') ? closedAtOpenAi(request) : closedParams(request);
  return found.map(({ param }) => param);
}

describe.each(Object.entries(FIELDS))('%s', (vendor, { open, closed }) => {
  it('passes what is not on the list', () => {
    const passed = (path: string) => closedIn(vendor, requestWith(path, 'x')).length === 0;
    expect(words(open).filter((path) => !passed(path))).toEqual([]);
  });

  it('closes what money is not held for, and what belongs to others', () => {
    const refused = (path: string) => closedIn(vendor, requestWith(path, 'x'))[0] === path;
    expect(words(closed).filter((path) => !refused(path))).toEqual([]);
  });
});

describe('the table', () => {
  const require = createRequire(import.meta.url);
  const fieldsOf = (module: string, type: string): string[] => {
    const types = require.resolve(module).replace(/\.m?js$/, '.d.ts');
    const text = readFileSync(types, 'utf8').replace(/\/\*[^]*?\*\//g, '');
    const start = text.indexOf(`export interface ${type} {`);
    return [...text.slice(start, text.indexOf('\n}', start)).matchAll(/^ {4}(\w+)\??:/gm)].map(
      ([, name]) => name ?? '',
    );
  };

  it.each([
    [
      'OpenAI, chat completions',
      'openai/resources/chat/completions/completions',
      'ChatCompletionCreateParamsBase',
    ],
    ['OpenAI, responses', 'openai/resources/responses/responses', 'ResponseCreateParamsBase'],
  ])('has every field of OpenAI’s SDK: %s', (vendor, module, type) => {
    const { open = '', closed = '' } = FIELDS[vendor] ?? {};
    const decided = new Set(words(`${open} ${closed}`));
    const fields = fieldsOf(module, type);
    expect(fields.length).toBeGreaterThan(25);
    expect(fields.filter((name) => !decided.has(name))).toEqual([]);
  });
});

describe('a closed field', () => {
  const closedNames = (fields: object, allowed: readonly string[] = []) =>
    closedParams({ model: 'm', messages: [], ...fields }, new Set(allowed)).map(({ param }) => param);

  it.each([
    'Model',
    'MODELS',
    'maxTokens',
    'max-tokens',
    'Me\u017F\u017Fages',
    'baseURL',
    'apiKey',
    '\u212Av_transfer_params',
  ])('is known in other spellings, which some servers read all the same: %s', (name) => {
    expect(closedNames({ [name]: 'x' })).toEqual([name]);
  });

  it('says nothing when it is not set, or says what is so anyway', () => {
    expect(closedNames({ models: null, deferred: false, tags: [], preset: '', extra_body: null })).toEqual(
      [],
    );
    for (const tier of ['auto', 'default', 'standard', 'on_demand', null])
      expect(closedNames({ service_tier: tier })).toEqual([]);
  });

  it('is LiteLLM’s list of tags in metadata, where OpenAI has texts', () => {
    expect(closedNames({ metadata: { tags: ['paid'], model: 'x' } })).toEqual(['metadata.tags']);
    expect(closedNames({ metadata: { tags: 'paid' } })).toEqual([]);
    expect(closedNames({ metadata: { tags: ['paid'] } }, ['tags'])).toEqual([]);
  });

  it('is open where the operator says so, in every place', () => {
    const fields = { models: ['a'], provider: {}, extra_body: { models: ['b'], route: 'x' } };
    expect(closedNames(fields)).toEqual(['models', 'provider', 'extra_body.models', 'extra_body.route']);
    expect(closedNames(fields, ['models', 'route'])).toEqual(['provider']);
  });

  it('is nothing that only looks like one', () => {
    const long = `model${'_'.repeat(100_000)}`;
    expect(closedNames({ [long]: 1, constructor: 1, models_: undefined, extra_body: ['models'] })).toEqual(
      [],
    );
    expect(
      closedNames(JSON.parse('{"__proto__":{"models":[]},"extra_body":{"__proto__":1}}') as object),
    ).toEqual([]);
  });
});
