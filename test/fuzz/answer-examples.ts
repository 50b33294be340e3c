import type { Json } from './hostile-json.js';

/** Whole answers, error bodies and stream events of the three vendors: what the fuzzers spoil. */
export interface AnswerExamples {
  readonly whole: readonly Json[];
  /** Each a stream: one value per event. `[DONE]` and the like are added by who writes the bytes. */
  readonly streams: readonly (readonly Json[])[];
}

const OPENAI_USAGE = {
  prompt_tokens: 12,
  completion_tokens: 7,
  total_tokens: 19,
  prompt_tokens_details: { cached_tokens: 4, audio_tokens: 0 },
  completion_tokens_details: { reasoning_tokens: 2, audio_tokens: 0 },
};
const OPENAI_HEAD = {
  id: 'chatcmpl-1',
  created: 1_760_000_000,
  model: 'gpt-4-0613',
  system_fingerprint: 'fp_1',
};
const OPENAI_CALL = {
  id: 'call_1',
  type: 'function',
  function: { name: 'weather', arguments: '{"city":"Rome"}' },
};

const openAiChunk = (delta: Json, finish: string | null = null): Json => ({
  ...OPENAI_HEAD,
  object: 'chat.completion.chunk',
  choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
});

export const OPENAI_EXAMPLES: AnswerExamples = {
  whole: [
    {
      ...OPENAI_HEAD,
      object: 'chat.completion',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'Hello.', refusal: null, annotations: [] },
          logprobs: { content: [{ token: 'Hello', logprob: -0.1, bytes: [72], top_logprobs: [] }] },
          finish_reason: 'stop',
        },
      ],
      usage: OPENAI_USAGE,
      service_tier: 'default',
    },
    {
      ...OPENAI_HEAD,
      object: 'chat.completion',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: null, reasoning: 'think', tool_calls: [OPENAI_CALL] },
          finish_reason: 'tool_calls',
        },
        {
          index: 1,
          message: {
            role: 'assistant',
            content: [
              { type: 'text', text: 'a' },
              { type: 'text', text: 'b' },
            ],
          },
          finish_reason: 'eos',
        },
      ],
      usage: { prompt_tokens: 5, completion_tokens: 0, total_tokens: 9 },
    },
    {
      error: {
        message: 'Too long.',
        type: 'invalid_request_error',
        param: 'messages',
        code: 'context_length_exceeded',
      },
    },
    [{ error: { code: 429, message: 'Quota', status: 'RESOURCE_EXHAUSTED' } }],
  ],
  streams: [
    [
      openAiChunk({ role: 'assistant', content: '', refusal: null }),
      openAiChunk({ content: 'Hel' }),
      openAiChunk({ content: 'lo \u2028 "quoted" \\ and\nnew' }),
      openAiChunk({ content: ' world' }),
      openAiChunk({}, 'stop'),
      { ...OPENAI_HEAD, object: 'chat.completion.chunk', choices: [], usage: OPENAI_USAGE },
    ],
    [
      openAiChunk({ role: 'assistant', content: null, reasoning_content: 'think' }),
      openAiChunk({ reasoning: 'more' }),
      openAiChunk({
        tool_calls: [{ index: 0, ...OPENAI_CALL, function: { name: 'weather', arguments: '' } }],
      }),
      openAiChunk({ tool_calls: [{ index: 0, function: { arguments: '{"city":' } }] }),
      openAiChunk({ tool_calls: [{ index: 0, function: { arguments: '"Rome"}' } }] }),
      openAiChunk({}, 'tool_calls'),
      { error: { message: 'The server had an error', type: 'server_error', code: null } },
    ],
  ],
};

const ANTHROPIC_USAGE = {
  input_tokens: 12,
  cache_creation_input_tokens: 5,
  cache_read_input_tokens: 3,
  cache_creation: { ephemeral_5m_input_tokens: 2, ephemeral_1h_input_tokens: 3 },
  output_tokens: 9,
  output_tokens_details: { thinking_tokens: 4 },
  service_tier: 'standard',
  server_tool_use: { web_search_requests: 1 },
};
const ANTHROPIC_HEAD = { id: 'msg_1', type: 'message', role: 'assistant', model: 'claude-3-haiku-20240307' };
const CITATION = {
  type: 'web_search_result_location',
  url: 'https://a.example',
  title: 'A',
  cited_text: 'x',
};

export const ANTHROPIC_EXAMPLES: AnswerExamples = {
  whole: [
    {
      ...ANTHROPIC_HEAD,
      content: [
        { type: 'thinking', thinking: 'hm', signature: 'c2ln' },
        { type: 'redacted_thinking', data: 'b3BhcXVl' },
        { type: 'text', text: 'Hello.', citations: [CITATION] },
        { type: 'tool_use', id: 'toolu_1', name: 'weather', input: { city: 'Rome' } },
        { type: 'server_tool_use', id: 'srvtoolu_1', name: 'web_search', input: { query: 'q' } },
      ],
      stop_reason: 'tool_use',
      stop_sequence: null,
      usage: { ...ANTHROPIC_USAGE, iterations: [{ type: 'compaction', input_tokens: 1, output_tokens: 1 }] },
    },
    {
      ...ANTHROPIC_HEAD,
      content: [{ type: 'text', text: 'No.' }],
      stop_reason: 'refusal',
      stop_details: { explanation: 'because' },
      usage: { input_tokens: 1, output_tokens: 1 },
    },
    { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' }, request_id: 'req_1' },
  ],
  streams: [
    [
      {
        type: 'message_start',
        message: { ...ANTHROPIC_HEAD, content: [], stop_reason: null, usage: ANTHROPIC_USAGE },
      },
      {
        type: 'content_block_start',
        index: 0,
        content_block: { type: 'thinking', thinking: '', signature: '' },
      },
      { type: 'ping' },
      { type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: 'hm' } },
      { type: 'content_block_delta', index: 0, delta: { type: 'signature_delta', signature: 'c2ln' } },
      { type: 'content_block_stop', index: 0 },
      { type: 'content_block_start', index: 1, content_block: { type: 'text', text: '' } },
      { type: 'content_block_delta', index: 1, delta: { type: 'text_delta', text: 'Hel\u2028lo' } },
      { type: 'content_block_delta', index: 1, delta: { type: 'citations_delta', citation: CITATION } },
      { type: 'content_block_stop', index: 1 },
      {
        type: 'content_block_start',
        index: 2,
        content_block: { type: 'tool_use', id: 't', name: 'weather', input: {} },
      },
      {
        type: 'content_block_delta',
        index: 2,
        delta: { type: 'input_json_delta', partial_json: '{"city":' },
      },
      { type: 'content_block_delta', index: 2, delta: { type: 'input_json_delta', partial_json: '"Rome"}' } },
      { type: 'content_block_stop', index: 2 },
      {
        type: 'message_delta',
        delta: { stop_reason: 'tool_use', stop_sequence: null },
        usage: { output_tokens: 9 },
      },
      { type: 'message_stop' },
    ],
    [
      { type: 'message_start', message: { ...ANTHROPIC_HEAD, content: [], usage: ANTHROPIC_USAGE } },
      { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } },
    ],
  ],
};

const GOOGLE_USAGE = {
  promptTokenCount: 12,
  candidatesTokenCount: 7,
  thoughtsTokenCount: 3,
  cachedContentTokenCount: 4,
  toolUsePromptTokenCount: 2,
  totalTokenCount: 24,
  promptTokensDetails: [
    { modality: 'TEXT', tokenCount: 10 },
    { modality: 'AUDIO', tokenCount: 2 },
  ],
  cacheTokensDetails: [{ modality: 'AUDIO', tokenCount: 1 }],
};
const GOOGLE_TAIL = { usageMetadata: GOOGLE_USAGE, modelVersion: 'gemini-2.5-flash', responseId: 'r1' };

export const GOOGLE_EXAMPLES: AnswerExamples = {
  whole: [
    {
      candidates: [
        {
          content: {
            role: 'model',
            parts: [
              { text: 'thinking', thought: true },
              { text: 'Hello.', thoughtSignature: 'c2ln' },
              { functionCall: { name: 'weather', args: { city: 'Rome' } }, thoughtSignature: 'c2ln' },
              { inlineData: { mimeType: 'image/png', data: 'iVBORw0KGgo=' } },
              { executableCode: { language: 'PYTHON', code: '1' } },
            ],
          },
          finishReason: 'STOP',
          index: 0,
          groundingMetadata: {
            webSearchQueries: ['q'],
            groundingChunks: [{ web: { uri: 'https://a.example', title: 'A' } }],
            groundingSupports: [{ segment: { startIndex: 0, endIndex: 5 }, groundingChunkIndices: [0] }],
          },
          logprobsResult: {
            topCandidates: [{ candidates: [{ token: 'a', logProbability: -1 }] }],
            chosenCandidates: [{ token: 'a', logProbability: -1 }],
          },
          safetyRatings: [],
        },
      ],
      createTime: '2026-11-20T10:00:00Z',
      ...GOOGLE_TAIL,
    },
    { promptFeedback: { blockReason: 'SAFETY', safetyRatings: [] }, ...GOOGLE_TAIL },
    { error: { code: 429, message: 'Quota', status: 'RESOURCE_EXHAUSTED', details: [{ retryDelay: '3s' }] } },
  ],
  streams: [
    [
      {
        candidates: [{ content: { role: 'model', parts: [{ text: 'think', thought: true }] } }],
        ...GOOGLE_TAIL,
      },
      {
        candidates: [{ content: { role: 'model', parts: [{ text: 'Hel\u2028lo' }] }, index: 0 }],
        ...GOOGLE_TAIL,
      },
      {
        candidates: [
          { content: { parts: [{ functionCall: { name: 'w', args: {} } }] }, finishReason: 'STOP', index: 0 },
        ],
        ...GOOGLE_TAIL,
      },
    ],
    [{ promptFeedback: { blockReason: 'SAFETY' }, ...GOOGLE_TAIL }],
    [{ candidates: [], ...GOOGLE_TAIL }, { error: { code: 500, message: 'Internal', status: 'INTERNAL' } }],
  ],
};
