import type { Json } from './hostile-json.js';

const PIXEL = 'data:image/png;base64,iVBORw0KGgo=';
const WEATHER = {
  type: 'object',
  properties: { city: { type: 'string' }, days: { type: 'integer' } },
  required: ['city'],
};

/** Requests that every part of the API has a hand in; what the fuzzers spoil. */
export const CHAT_EXAMPLES: readonly Json[] = [
  { model: 'gpt-4', messages: [{ role: 'user', content: 'Say hello.' }] },
  {
    model: 'gpt-4',
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'developer', content: [{ type: 'text', text: 'Be kind.' }] },
      { role: 'user', content: 'Hello', name: 'alice' },
      { role: 'assistant', content: 'Hi.', refusal: null, reasoning_content: 'greet' },
      { role: 'user', content: [{ type: 'text', text: 'What is this?' }] },
    ],
    temperature: 0.5,
    top_p: 0.9,
    max_tokens: 100,
    stop: ['END', 'STOP'],
    n: 1,
    seed: 7,
    user: 'client-7',
    metadata: { user_id: 'u', project: 'p' },
    stream: true,
    stream_options: { include_usage: true },
  },
  {
    model: 'gpt-4',
    messages: [
      {
        role: 'user',
        content: [
          { type: 'text', text: 'Look.', cache_control: { type: 'ephemeral', ttl: '1h' } },
          { type: 'image_url', image_url: { url: PIXEL, detail: 'low' } },
          { type: 'image_url', image_url: { url: 'https://example.com/cat.png' } },
          { type: 'input_audio', input_audio: { data: 'UklGRg==', format: 'wav' } },
          { type: 'file', file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,JVBERi0=' } },
        ],
      },
    ],
    max_completion_tokens: 50,
    response_format: { type: 'json_object' },
    reasoning_effort: 'low',
    thinking: { type: 'enabled', budget_tokens: 1_024 },
  },
  {
    model: 'gpt-4',
    messages: [
      { role: 'user', content: 'Weather in Paris and Rome?' },
      {
        role: 'assistant',
        content: null,
        tool_calls: [
          { id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city":"Paris"}' } },
          {
            id: 'call_2',
            type: 'function',
            function: { name: 'weather', arguments: '{"city":"Rome"}' },
            provider_specific_fields: { thought_signature: 'c2ln' },
          },
        ],
        provider_specific_fields: {
          thinking_blocks: [{ type: 'thinking', thinking: 'two calls', signature: 'c2ln' }],
          thought_signatures: ['c2ln'],
        },
      },
      { role: 'tool', tool_call_id: 'call_1', content: 'sun' },
      { role: 'tool', tool_call_id: 'call_2', content: [{ type: 'text', text: 'rain' }] },
    ],
    tools: [
      {
        type: 'function',
        function: { name: 'weather', description: 'd', parameters: WEATHER, strict: true },
      },
    ],
    tool_choice: { type: 'function', function: { name: 'weather' } },
    parallel_tool_calls: false,
  },
  {
    model: 'gpt-4',
    messages: [
      { role: 'user', content: 'Old style.' },
      { role: 'assistant', content: null, function_call: { name: 'weather', arguments: '{}' } },
      { role: 'function', name: 'weather', content: 'sun' },
    ],
    functions: [{ name: 'weather', parameters: WEATHER }],
    function_call: 'auto',
    response_format: { type: 'json_schema', json_schema: { name: 'w', schema: WEATHER, strict: true } },
    logprobs: true,
    top_logprobs: 2,
    logit_bias: { '50256': -100 },
    service_tier: 'auto',
    frequency_penalty: 0,
    presence_penalty: 0,
    extra_body: { google: { thinking_config: { include_thoughts: true } } },
    generation_config: { top_k: 3, candidate_count: 1 },
    safety_settings: [],
    betas: ['files-api-2025-04-14'],
    web_search_options: {},
  },
  {
    model: 'gpt-4',
    messages: [{ role: 'user', content: 'Everything that has a name.' }],
    modalities: ['text'],
    audio: { voice: 'alloy', format: 'wav' },
    prediction: { type: 'content', content: 'x' },
    tools: [
      { type: 'web_search_20250305', name: 'web_search', max_uses: 3 },
      { type: 'custom', custom: { name: 'c', format: { type: 'text' } } },
      { google_search: {} },
    ],
    tool_choice: 'auto',
    verbosity: 'medium',
    store: false,
    prompt_cache_key: 'k',
    safety_identifier: 's',
    mcp_servers: [{ type: 'url', url: 'https://mcp.example', name: 'm' }],
    output_config: { effort: 'low' },
    cached_content: 'cachedContents/1',
    tool_config: { function_calling_config: { mode: 'ANY' } },
    labels: { a: 'b' },
  },
  {
    model: 'gpt-4',
    messages: [{ role: 'user', content: 'A few fields that every vendor knows.' }],
    reasoning_effort: 'low',
    modalities: ['text'],
    max_completion_tokens: 4_000,
    tools: [{ type: 'function', function: { name: 'f' } }],
  },
];
